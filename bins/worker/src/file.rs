//! The optional configuration file (`ORDERBRIDGE_CONFIG`, TOML).

use std::collections::{BTreeMap, BTreeSet};

use domain::id::Product2Id;
use domain::key::ProductId;
use domain::order::MappingOverrides;
use salesforce_rest::FieldNames;
use serde::Deserialize;
use settings::Problems;
use whmcs::{LineMarkers, Options};

const NAME: &str = "ORDERBRIDGE_CONFIG";

/// What the file may hold.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct File {
    /// Renamed Salesforce fields and statuses.
    pub(crate) salesforce: FieldNames,
    whmcs: WhmcsPart,
    /// Mapping overrides by Salesforce product id.
    products: BTreeMap<String, ProductPart>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WhmcsPart {
    /// Custom field that keeps the line marker, by WHMCS product id.
    line_marker_fields: BTreeMap<String, u64>,
    /// Modules that may be called again for a service that is still pending.
    idempotent_modules: BTreeSet<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProductPart {
    whmcs_product: Option<String>,
    billing_cycle: Option<String>,
}

impl File {
    /// Reads the file, or nothing when none is named.
    pub(crate) fn read(path: Option<&str>, problems: &mut Problems) -> Option<Self> {
        let Some(path) = path.map(str::trim).filter(|path| !path.is_empty()) else {
            return Some(Self::default());
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                problems.add(
                    NAME,
                    format!("`{path}` cannot be read: {error}"),
                    "Name a TOML file",
                );
                return None;
            }
        };
        match toml::from_str::<Self>(&text) {
            Ok(file) => {
                file.salesforce.check(problems);
                Some(file)
            }
            Err(error) => {
                let what = format!("`{path}` is not understood: {}", error.message());
                problems.add(NAME, what, "Correct that line of the file");
                None
            }
        }
    }

    pub(crate) fn overrides(&self, problems: &mut Problems) -> MappingOverrides {
        let mut overrides = BTreeMap::new();
        for (id, part) in &self.products {
            match Product2Id::parse(id) {
                Ok(id) => {
                    let mapping = (part.whmcs_product.clone(), part.billing_cycle.clone());
                    overrides.insert(id, mapping);
                }
                Err(error) => problems.add(NAME, error.to_string(), "Give a Product2 id"),
            }
        }
        MappingOverrides(overrides)
    }

    pub(crate) fn whmcs_options(&self, problems: &mut Problems) -> Options {
        let mut fields = BTreeMap::new();
        for (product, field) in &self.whmcs.line_marker_fields {
            match product.parse() {
                Ok(product) => {
                    fields.insert(ProductId(product), *field);
                }
                Err(_) => problems.add(
                    NAME,
                    format!("`{product}` under whmcs.line_marker_fields is no product number"),
                    "Give a WHMCS product number",
                ),
            }
        }
        Options {
            line_markers: LineMarkers(fields),
            idempotent_modules: self.whmcs.idempotent_modules.clone(),
        }
    }
}
