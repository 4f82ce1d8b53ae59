//! What `orderctl doctor` asks: the identity, the allowances, the products.

use std::collections::BTreeMap;

use domain::order::Product;
use domain::ports::CallError;
use serde::Deserialize;

use crate::RestOrders;
use crate::client::Call;
use crate::error::Failure;
use crate::shape::PRODUCT;

/// The user behind the login.
#[derive(Clone, Debug, Deserialize)]
pub struct Identity {
    /// The organisation.
    pub organization_id: String,
    /// The user's name.
    #[serde(default)]
    pub preferred_username: String,
    /// Whether the user is active.
    #[serde(default = "yes")]
    pub active: bool,
}

const fn yes() -> bool {
    true
}

/// An allowance of the org.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Limit {
    /// What is granted.
    pub max: i64,
    /// What is left.
    pub remaining: i64,
}

impl RestOrders {
    /// The user behind the login.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn identity(&self) -> Result<Identity, CallError> {
        let call = Call::get("identity", "/services/oauth2/userinfo");
        Ok(self.client.send(&call).await?.read()?)
    }

    /// The allowances of the org, by name.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn limits(&self) -> Result<BTreeMap<String, Limit>, CallError> {
        let answer = self.client.send(&Call::get("limits", "limits")).await?;
        let all: BTreeMap<String, serde_json::Value> = answer.read()?;
        let limit = |value| serde_json::from_value(value).ok();
        Ok(all
            .into_iter()
            .filter_map(|(name, value)| Some((name, limit(value)?)))
            .collect())
    }

    /// Up to `limit` active products that name a WHMCS product, by ascending id.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn mapped_products(&self, limit: usize) -> Result<Vec<Product>, CallError> {
        let names = &self.names.product;
        let shape = self.shape().await?;
        let cycle = shape.has(PRODUCT, &names.billing_cycle);
        let mut columns = vec!["Id", "Name", &names.whmcs_product];
        columns.extend(cycle.then_some(names.billing_cycle.as_str()));
        let soql = format!(
            "SELECT {} FROM Product2 WHERE IsActive = true AND {} != null ORDER BY Id LIMIT {limit}",
            columns.join(", "),
            names.whmcs_product,
        );
        let page = self.query("products_mapped", soql).await?;
        let rows = self.all_rows("products_mapped", page).await?;
        let products = rows.iter().map(|row| {
            Ok(Product {
                id: row.id("Id")?,
                name: row.text("Name")?.unwrap_or_default(),
                whmcs_product: row.text(&names.whmcs_product)?,
                cycle: row.text(&names.billing_cycle)?,
            })
        });
        Ok(products.collect::<Result<_, Failure>>()?)
    }
}
