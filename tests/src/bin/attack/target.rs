//! What is attacked, and who uses it.

use std::net::SocketAddr;

use anyhow::Context;
use e2e::portal_process::PortalProcess;
use jiff::Timestamp;
use serde_json::{Value, json};
use simulators::World;
use simulators::salesforce::{Line, NewOrder};

use crate::identity::IdentityProvider;

pub(crate) const AUDIENCE: &str = "shop";
pub(crate) const OPS_TOKEN: &str = "the token of the operators of this run";

/// A customer with an order.
pub(crate) struct Customer {
    pub(crate) token: String,
    pub(crate) order: String,
}

/// The portal and its customers.
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) address: SocketAddr,
    pub(crate) attacker: Customer,
    pub(crate) bystanders: Vec<Customer>,
    /// The body of a new order.
    pub(crate) new_order: Value,
}

impl Target {
    pub(crate) fn new(
        world: &World,
        portal: &PortalProcess,
        identity: &IdentityProvider,
    ) -> anyhow::Result<Self> {
        let entry = &world.products[0].pricebook_entry;
        let customers = world.accounts.iter().map(|account| {
            let order = NewOrder {
                account: account.salesforce.clone(),
                lines: vec![Line::new(entry, 1)],
                ..NewOrder::default()
            };
            let placed = world.salesforce.place_order(order);
            let claims = json!({
                "account_id": account.salesforce,
                "aud": AUDIENCE,
                "exp": Timestamp::now().as_second() + 24 * 3600,
            });
            Ok(Customer {
                order: placed
                    .map_err(|refusal| anyhow::anyhow!("no order can be placed: {refusal:?}"))?,
                token: identity.token(&claims)?,
            })
        });
        let mut customers = customers.collect::<anyhow::Result<Vec<_>>>()?;
        let bystanders = customers.split_off(1);
        let address = portal.url.strip_prefix("http://").context("not an URL")?;
        Ok(Self {
            url: portal.url.clone(),
            address: address.parse()?,
            attacker: customers.pop().context("no account")?,
            bystanders,
            new_order: json!({"items": [{"pricebookEntryId": entry, "quantity": 1}]}),
        })
    }
}
