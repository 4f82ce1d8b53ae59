//! Options of the simulated org.
use std::{collections::BTreeSet, time::Duration};

use crate::{Listen, pubsub::BusOptions};

/// Options of the simulated org; [`Default`] matches the metadata that the bridge deploys.
#[derive(Debug, Clone)]
pub struct SalesforceOptions {
    /// Address, name and TLS of both ports.
    pub listen: Listen,
    /// Port of OAuth and REST, 0 for any.
    pub rest_port: u16,
    /// Port of the Pub/Sub API, 0 for any.
    pub pubsub_port: u16,
    /// Seed of all randomness.
    pub seed: u64,
    /// Fields missing in the org, such as `Order.Activation_Attempt__c`.
    pub without_fields: BTreeSet<String>,
    /// Status category of `Provisioned`: `Draft` or `Activated`.
    pub provisioned_category: String,
    /// Enables the validation rule that rejects a result for an order that is not `Activating`.
    pub guard_rule: bool,
    /// Maximum page size of a query.
    pub page_size: usize,
    /// Daily API calls, for `Sforce-Limit-Info` and `/limits`.
    pub daily_calls: u64,
    /// Idle timeout of an access token.
    pub session_timeout: Duration,
    /// Rejects assertions that expire later than this; `None` accepts any.
    pub strict_exp: Option<Duration>,
    /// Seconds by which the version compared with `If-Unmodified-Since` is later than the
    /// `Last-Modified` of a read.
    pub stamp_ahead: i64,
    /// Value of `RequestedBy__c` in events.
    pub operator: String,
    /// The event bus.
    pub bus: BusOptions,
}

impl Default for SalesforceOptions {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            rest_port: 0,
            pubsub_port: 0,
            seed: 7,
            without_fields: BTreeSet::from([CURRENCY.to_owned()]),
            provisioned_category: "Draft".to_owned(),
            guard_rule: false,
            page_size: 2000,
            daily_calls: 100_000,
            session_timeout: Duration::from_secs(7200),
            strict_exp: None,
            stamp_ahead: 0,
            operator: "operator@simulated.example".to_owned(),
            bus: BusOptions::default(),
        }
    }
}

impl SalesforceOptions {
    /// Gives the org several currencies, and each order a currency.
    #[must_use]
    pub fn multi_currency(mut self) -> Self {
        self.without_fields.remove(CURRENCY);
        self
    }

    /// Removes a custom field of Order.
    #[must_use]
    pub fn without_order_field(mut self, field: &str) -> Self {
        self.without_fields.insert(format!("Order.{field}"));
        self
    }
}

const CURRENCY: &str = "Order.CurrencyIsoCode";

/// Login data for a client.
#[derive(Debug, Clone)]
pub struct Login {
    /// Consumer key of the connected app: `iss`.
    pub client_id: String,
    /// The integration user: `sub`.
    pub username: String,
    /// Private key, PKCS#8 PEM; simulator-only.
    pub private_key_pem: String,
    /// Organisation id, 18 characters: `tenantid`.
    pub org_id: String,
}

/// The simulator-only private key, PKCS#8 PEM.
pub const PRIVATE_KEY_PEM: &str = include_str!("../../keys/simulator-only.pem");
pub(crate) const PUBLIC_KEY_PEM: &str = include_str!("../../keys/simulator-only.pub.pem");
pub(crate) const CLIENT_ID: &str = "3MVGsimulator.orderbridge";
pub(crate) const USERNAME: &str = "bridge@simulated.example";
