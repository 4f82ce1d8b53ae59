//! What the worker takes from the configuration file (`ORDERBRIDGE_CONFIG`).

use std::collections::{BTreeMap, BTreeSet};

use domain::id::Product2Id;
use domain::key::ProductId;
use domain::order::MappingOverrides;
use salesforce_rest::FieldNames;
use serde::Deserialize;
use settings::{ConfigFile, Problems};
use whmcs::{LineMarkers, Options};

const NAME: &str = "ORDERBRIDGE_CONFIG";

/// What the worker takes from the file.
#[derive(Debug)]
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
        let file = ConfigFile::read(path, problems)?;
        let salesforce = FieldNames::of(&file, problems);
        let whmcs = file.table("whmcs", problems);
        let products = file.table("products", problems);
        Some(Self {
            salesforce: salesforce?,
            whmcs: whmcs?,
            products: products?,
        })
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
