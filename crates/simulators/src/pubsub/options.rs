//! Knobs of the bus; most may be turned while it runs.
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::schema::EventField;

/// How a stream without credit is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdleStyle {
    /// Status OK.
    End,
    /// Status UNAVAILABLE.
    Unavailable,
}

/// How the bus behaves.
#[derive(Debug, Clone)]
pub struct BusOptions {
    /// API name of the event, with `__e`.
    pub event: String,
    /// Its custom fields at start.
    pub fields: Vec<EventField>,
    /// An empty response is sent after so long without one, while there is credit.
    pub keepalive: Duration,
    /// A stream without credit is closed after this.
    pub idle_close: Duration,
    /// How it is closed.
    pub idle_style: IdleStyle,
    /// How long events and positions stay known.
    pub retention: Duration,
    /// Probability that an event is delivered once more: in the response, in the next one, or
    /// after a resume.
    pub duplicates: f64,
    /// Response headers come only with the first message.
    pub lazy_headers: bool,
    /// A refused stream learns of it only after this.
    pub auth_delay: Duration,
    /// Revoking tokens ends streams that are open already (the real service lets them run).
    pub cut_on_revoke: bool,
    /// After a LATEST subscribe, events published within this are missed.
    pub latest_blind: Duration,
    /// Events that may be delivered per rolling day; `None` is unlimited.
    pub delivery_allocation: Option<u64>,
    /// Positions jump as if other events shared the bus, and keepalives move on with them.
    pub foreign_traffic: bool,
    /// Largest number of events in a response; batches are split at random below it.
    pub max_batch: usize,
}

impl Default for BusOptions {
    fn default() -> Self {
        Self {
            event: "OrderProvisionRequested__e".to_owned(),
            fields: EventField::contract(),
            keepalive: Duration::from_secs(60),
            idle_close: Duration::from_secs(60),
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
        }
    }
}
