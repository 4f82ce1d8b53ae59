//! How the simulated org is set up.
use std::{collections::BTreeSet, time::Duration};

use crate::pubsub::BusOptions;

/// How the simulated org is set up; [`Default`] is what the bridge's own metadata deploys.
#[derive(Debug, Clone)]
pub struct SalesforceOptions {
    /// Port of OAuth and REST, 0 for any.
    pub rest_port: u16,
    /// Port of the Pub/Sub API, 0 for any.
    pub pubsub_port: u16,
    /// Everything random comes from this.
    pub seed: u64,
    /// Fields the org does not have, as `Order.Activation_Attempt__c`.
    pub without_fields: BTreeSet<String>,
    /// Category `Provisioned` is filed under: `Draft` or `Activated`.
    pub provisioned_category: String,
    /// The validation rule that refuses a result for an order that is not `Activating`.
    pub guard_rule: bool,
    /// Largest page of a query.
    pub page_size: usize,
    /// Daily API calls, for `Sforce-Limit-Info` and `/limits`.
    pub daily_calls: u64,
    /// Idle time after which an access token dies.
    pub session_timeout: Duration,
    /// Refuse assertions that expire more than this from now; `None` accepts any.
    pub strict_exp: Option<Duration>,
    /// `If-Unmodified-Since` is compared with a stamp so many seconds later than the
    /// `Last-Modified` that a read tells.
    pub stamp_ahead: i64,
    /// Who is the `RequestedBy__c` of events.
    pub operator: String,
    /// The event bus.
    pub bus: BusOptions,
}

impl Default for SalesforceOptions {
    fn default() -> Self {
        Self {
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
    /// The org has several currencies, and a currency on each order.
    #[must_use]
    pub fn multi_currency(mut self) -> Self {
        self.without_fields.remove(CURRENCY);
        self
    }

    /// The org lacks this custom field of Order.
    #[must_use]
    pub fn without_order_field(mut self, field: &str) -> Self {
        self.without_fields.insert(format!("Order.{field}"));
        self
    }
}

const CURRENCY: &str = "Order.CurrencyIsoCode";

/// What a client needs to log in.
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
