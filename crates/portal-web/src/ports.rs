//! What the portal needs from the outside.

use std::sync::Arc;

use domain::key::Channel;
use domain::ports::{ApiAllowance, Clock, CustomerOrders, RetryRequests, SecretSource};
use operations::{
    AdminCommands, AlertStore, EventViews, OperatorSessions, OrderViews, ProcessRegistry,
    Statistics,
};
use settings::Reload;

/// Adapters that the portal calls.
#[derive(Clone)]
pub struct Ports {
    /// Customers' orders in Salesforce.
    pub customers: Arc<dyn CustomerOrders>,
    /// How many API calls Salesforce has left.
    pub allowance: Arc<dyn ApiAllowance>,
    /// Retries in Salesforce.
    pub retries: Arc<dyn RetryRequests>,
    /// Orders and jobs.
    pub orders: Arc<dyn OrderViews>,
    /// Channels, dead letters and gaps.
    pub events: Arc<dyn EventViews>,
    /// Statistics of the queue, attempts and calls.
    pub statistics: Arc<dyn Statistics>,
    /// Operator commands, pauses and the audit log.
    pub commands: Arc<dyn AdminCommands>,
    /// Sessions of operators.
    pub sessions: Arc<dyn OperatorSessions>,
    /// The process registry.
    pub processes: Arc<dyn ProcessRegistry>,
    /// Alerts.
    pub alerts: Arc<dyn AlertStore>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for session ids.
    pub entropy: Arc<dyn SecretSource>,
    /// The channel whose stream the console shows.
    pub channel: Channel,
    /// Fetches the keys that customer tokens are verified with.
    pub http: reqwest::Client,
    /// What is read again on request: secrets and keys.
    pub reload: Reload,
}
