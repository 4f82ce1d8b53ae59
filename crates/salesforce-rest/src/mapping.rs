//! Product mappings from the configuration file (`ORDERBRIDGE_CONFIG`, table `products`).

use std::collections::BTreeMap;

use domain::id::Product2Id;
use domain::order::MappingOverrides;
use serde::Deserialize;
use settings::{ConfigFile, Problems};

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Part {
    whmcs_product: Option<String>,
    billing_cycle: Option<String>,
}

/// Reads the file's mappings by Salesforce product id and collects every problem.
pub fn mapping_overrides(file: &ConfigFile, problems: &mut Problems) -> Option<MappingOverrides> {
    let parts: BTreeMap<String, Part> = file.table("products", problems)?;
    let mut overrides = BTreeMap::new();
    for (id, part) in parts {
        match Product2Id::parse(&id) {
            Ok(id) => {
                overrides.insert(id, (part.whmcs_product, part.billing_cycle));
            }
            Err(error) => {
                problems.add("ORDERBRIDGE_CONFIG", error.to_string(), "Use a Product2 id");
            }
        }
    }
    Some(MappingOverrides(overrides))
}
