//! Options of the WHMCS install from the configuration file (`ORDERBRIDGE_CONFIG`, table `whmcs`).

use std::collections::{BTreeMap, BTreeSet};

use domain::key::ProductId;
use serde::Deserialize;
use settings::{ConfigFile, Endpoint, Problems};

/// The custom field that stores our line marker, by product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineMarkers(pub BTreeMap<ProductId, u64>);

/// Options of the WHMCS install from the configuration file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Custom fields for line markers.
    pub line_markers: LineMarkers,
    /// Modules that may be called again for a service that is still pending.
    pub idempotent_modules: BTreeSet<String>,
    /// URL of the admin area, when it is not `{WHMCS_URL}/admin`.
    pub admin_url: Option<Endpoint>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Part {
    /// The custom field that stores the line marker, by WHMCS product id.
    line_marker_fields: BTreeMap<String, u64>,
    idempotent_modules: BTreeSet<String>,
    admin_url: Option<String>,
}

impl Options {
    /// Reads the file's `whmcs` table and collects every problem.
    pub fn of(file: &ConfigFile, problems: &mut Problems) -> Option<Self> {
        let part: Part = file.table("whmcs", problems)?;
        let mut fields = BTreeMap::new();
        for (product, field) in part.line_marker_fields {
            match product.parse() {
                Ok(product) => {
                    fields.insert(ProductId(product), field);
                }
                Err(_) => problems.add(
                    "ORDERBRIDGE_CONFIG",
                    format!(
                        "`{product}` under whmcs.line_marker_fields is not a valid product number"
                    ),
                    "Use a WHMCS product number",
                ),
            }
        }
        let admin_url = match part.admin_url {
            Some(url) => {
                let admin = Endpoint::parse(&url);
                let admin = admin.map_err(|error| error.problem("ORDERBRIDGE_CONFIG", &url));
                Some(problems.take(admin)?)
            }
            None => None,
        };
        Some(Self {
            admin_url,
            line_markers: LineMarkers(fields),
            idempotent_modules: part.idempotent_modules,
        })
    }
}
