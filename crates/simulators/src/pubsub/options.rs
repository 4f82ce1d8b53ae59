//! Options of the bus, most of them changeable at runtime.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ManagedSubscription, schema::EventField};

/// How a stream without credit is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleStyle {
    /// Status OK.
    End,
    /// Status UNAVAILABLE.
    Unavailable,
}

/// Behaviour of the bus.
#[derive(Debug, Clone)]
pub struct BusOptions {
    /// API name of the event, with `__e`.
    pub event: String,
    /// Its custom fields at start.
    pub fields: Vec<EventField>,
    /// Interval of keepalives while there is credit.
    pub keepalive: Duration,
    /// A stream without credit is closed after this time.
    pub idle_close: Duration,
    /// A stream that publishes nothing is closed after this time.
    pub publish_idle: Duration,
    /// How an idle stream is closed.
    pub idle_style: IdleStyle,
    /// Retention of events and positions.
    pub retention: Duration,
    /// Probability of a duplicate delivery: in the response, in the next one, or after a resume.
    pub duplicates: f64,
    /// Sends response headers only with the first message.
    pub lazy_headers: bool,
    /// Delay of authentication errors.
    pub auth_delay: Duration,
    /// Whether revoking tokens ends open streams (the real service keeps them open).
    pub cut_on_revoke: bool,
    /// After a LATEST subscribe, events published within this time are missed.
    pub latest_blind: Duration,
    /// Events that may be delivered per rolling day; `None` is unlimited.
    pub delivery_allocation: Option<u64>,
    /// Lets positions jump and keepalives advance, as if other events shared the bus.
    pub foreign_traffic: bool,
    /// Maximum number of events in a response; batches are split at random below it.
    pub max_batch: usize,
    /// Whether the user may subscribe, as GetTopic says.
    pub can_subscribe: bool,
    /// Managed subscriptions of the event's topic.
    pub managed: Vec<ManagedSubscription>,
    /// A managed stream without a commit is closed after this time.
    pub commit_timeout: Duration,
}

impl Default for BusOptions {
    fn default() -> Self {
        Self {
            event: "OrderProvisionRequested__e".to_owned(),
            fields: EventField::contract(),
            keepalive: Duration::from_secs(60),
            idle_close: Duration::from_secs(60),
            publish_idle: Duration::from_secs(70),
            idle_style: IdleStyle::End,
            retention: Duration::from_secs(72 * 3600),
            duplicates: 0.0,
            lazy_headers: false,
            auth_delay: Duration::ZERO,
            cut_on_revoke: false,
            latest_blind: Duration::ZERO,
            delivery_allocation: None,
            foreign_traffic: true,
            max_batch: 100,
            can_subscribe: true,
            managed: Vec::new(),
            commit_timeout: Duration::from_secs(1800),
        }
    }
}
