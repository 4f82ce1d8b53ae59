//! Data that a file or a request adds to a world.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    salesforce::Refusal,
    whmcs::{Module, Product},
    world::World,
};

/// Data to add: WHMCS clients and products, then Salesforce records, then orders. A value `@{name}`
/// is the id of what was added under that name before.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seed {
    /// WHMCS clients.
    pub clients: Vec<SeedClient>,
    /// WHMCS products.
    pub products: Vec<SeedProduct>,
    /// Salesforce records.
    pub records: Vec<SeedRecord>,
    /// Orders of the accounts and products that every sandbox has.
    pub orders: Vec<SeedOrder>,
}

/// A client in WHMCS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedClient {
    /// Name for references.
    pub name: Option<String>,
    /// First name.
    pub firstname: String,
    /// Last name.
    pub lastname: String,
    /// E-mail.
    pub email: String,
}

/// A product in WHMCS.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedProduct {
    /// Its id.
    pub pid: u64,
    /// Its name.
    pub name: String,
    /// Product group.
    #[serde(default = "first")]
    pub gid: u64,
    /// `recurring`, `onetime` or `free`.
    pub paytype: Option<String>,
    /// Price per cycle (`monthly`, …); without it the default prices.
    pub prices: Option<BTreeMap<String, f64>>,
    /// Custom fields: id and name.
    #[serde(default)]
    pub custom_fields: Vec<(u64, String)>,
    /// Its module; without it one that works.
    pub module: Option<Module>,
}

fn first() -> u64 {
    1
}

/// A record in Salesforce.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedRecord {
    /// Its object.
    pub object: String,
    /// Name for references.
    pub name: Option<String>,
    /// Its fields.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

/// An order of an account that every sandbox has.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedOrder {
    /// Index of the account.
    #[serde(default)]
    pub account: usize,
    /// Product index and quantity of each line.
    #[serde(default = "one_line")]
    pub lines: Vec<(usize, u32)>,
    /// Whether it is approved at once.
    #[serde(default)]
    pub approve: bool,
    /// More fields of the Order.
    #[serde(default)]
    pub fields: Map<String, Value>,
}

fn one_line() -> Vec<(usize, u32)> {
    vec![(0, 1)]
}

/// Why data cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The org refuses a record.
    #[error("{place}: {refusal}")]
    Refused {
        /// Which one: `records[2] (Account)`.
        place: String,
        /// The org's error.
        refusal: Refusal,
    },
    /// A reference to nothing.
    #[error("{place}: nothing before it has the name `{name}`")]
    UnknownName {
        /// Where it is.
        place: String,
        /// The name.
        name: String,
    },
}

impl SeedOrder {
    /// Places the order, and approves it.
    pub(crate) fn place(self, world: &World) -> Result<String, Refusal> {
        let fields = Value::Object(self.fields);
        let id = world.place_order_with(self.account, &self.lines, fields)?;
        if self.approve {
            world.salesforce.approve(&id)?;
        }
        Ok(id)
    }
}

impl SeedProduct {
    /// Adds the product, or replaces the one of the same id.
    pub(crate) fn add(self, world: &World) {
        let mut product = Product::new(self.pid, &self.name);
        product.gid = self.gid;
        product.custom_fields = self.custom_fields;
        product.paytype = self.paytype.unwrap_or(product.paytype);
        product.prices = self.prices.unwrap_or(product.prices);
        product.module = self.module.unwrap_or(product.module);
        world.whmcs.set_product(product);
    }
}

impl World {
    /// Adds data and returns the ids of what has a name. After an error nothing of it is there.
    pub fn seed(&self, seed: Seed) -> Result<BTreeMap<String, String>, SeedError> {
        let before = self.snapshot();
        self.add_all(seed).inspect_err(|_| {
            if let Err(error) = self.restore(before) {
                tracing::warn!(%error, "the state before the data could not be restored");
            }
        })
    }

    fn add_all(&self, seed: Seed) -> Result<BTreeMap<String, String>, SeedError> {
        let mut names = BTreeMap::new();
        for product in seed.products {
            product.add(self);
        }
        for client in seed.clients {
            let SeedClient {
                name,
                firstname,
                lastname,
                email,
            } = client;
            let id = self.whmcs.add_client(&firstname, &lastname, &email);
            names.extend(name.map(|name| (name, id.to_string())));
        }
        for (at, record) in seed.records.into_iter().enumerate() {
            let place = format!("records[{at}] ({})", record.object);
            let mut fields = record.fields;
            for value in fields.values_mut() {
                fill_in(value, &names, &place)?;
            }
            let id = self
                .salesforce
                .create(&record.object, Value::Object(fields))
                .map_err(|refusal| SeedError::Refused { place, refusal })?;
            names.extend(record.name.map(|name| (name, id)));
        }
        for (at, mut order) in seed.orders.into_iter().enumerate() {
            let place = format!("orders[{at}]");
            for value in order.fields.values_mut() {
                fill_in(value, &names, &place)?;
            }
            order
                .place(self)
                .map_err(|refusal| SeedError::Refused { place, refusal })?;
        }
        Ok(names)
    }
}

/// Replaces `@{name}`.
fn fill_in(
    value: &mut Value,
    names: &BTreeMap<String, String>,
    place: &str,
) -> Result<(), SeedError> {
    let Some(name) = value
        .as_str()
        .and_then(|text| text.strip_prefix("@{")?.strip_suffix('}'))
    else {
        return Ok(());
    };
    let id = names.get(name).ok_or_else(|| SeedError::UnknownName {
        place: place.to_owned(),
        name: name.to_owned(),
    })?;
    *value = Value::from(id.as_str());
    Ok(())
}
