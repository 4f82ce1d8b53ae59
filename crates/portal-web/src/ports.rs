//! What the portal needs from the outside.

use std::sync::Arc;

use domain::key::Channel;
use domain::ports::{Clock, CrmOrders, Entropy, JobIntake, JobReader};

/// Adapters that the portal calls.
#[derive(Clone)]
pub struct Ports {
    /// Salesforce.
    pub crm: Arc<dyn CrmOrders>,
    /// The store, for queries.
    pub reader: Arc<dyn JobReader>,
    /// The store, for operator commands.
    pub intake: Arc<dyn JobIntake>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// The channel whose stream the console shows.
    pub channel: Channel,
    /// Fetches the keys that customer tokens are verified with.
    pub http: reqwest::Client,
}
