//! Counters of the bus.
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::Bus;

/// Statistics of the bus.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BusStats {
    /// Streams open now.
    pub open_streams: u64,
    /// Streams opened since the start.
    pub streams: u64,
    /// FetchRequests received.
    pub fetch_requests: u64,
    /// Responses sent, keepalives included.
    pub responses: u64,
    /// Empty responses sent.
    pub keepalives: u64,
    /// Copies of events delivered.
    pub delivered: u64,
    /// GetSchema calls.
    pub get_schema: u64,
    /// GetTopic calls.
    pub get_topic: u64,
    /// Managed streams opened since the start.
    pub managed_streams: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) open: AtomicU64,
    pub(super) streams: AtomicU64,
    pub(super) fetches: AtomicU64,
    pub(super) responses: AtomicU64,
    pub(super) keepalives: AtomicU64,
    pub(super) delivered: AtomicU64,
    pub(super) get_schema: AtomicU64,
    pub(super) get_topic: AtomicU64,
    pub(super) managed_streams: AtomicU64,
}

impl Bus {
    pub(crate) fn stats(&self) -> BusStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
        let counters = &self.counters;
        BusStats {
            open_streams: read(&counters.open),
            streams: read(&counters.streams),
            fetch_requests: read(&counters.fetches),
            responses: read(&counters.responses),
            keepalives: read(&counters.keepalives),
            delivered: read(&counters.delivered),
            get_schema: read(&counters.get_schema),
            get_topic: read(&counters.get_topic),
            managed_streams: read(&counters.managed_streams),
        }
    }
}
