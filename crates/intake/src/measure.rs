//! Metrics. Every counter starts at zero for every combination of labels: `rate()` would miss the
//! first failure of a counter that appears with it.

use domain::job::{Admission, Source};
use domain::key::Channel;
use domain::ports::{Batch, StreamError};
use domain::time::Timestamp;
use metrics::{counter, histogram};

/// Registers every counter at zero.
pub(crate) fn register(channel: &Channel) {
    let topic = || channel.as_str().to_owned();
    counter!("orderbridge_events_received_total", "topic" => topic()).increment(0);
    for outcome in ["enqueued", "duplicate", "invalid"] {
        handled(channel, outcome, 0);
    }
    for reason in StreamError::CLASSES {
        reconnects(channel, reason, 0);
    }
    resets(channel, 0);
    unstorable(0);
    for source in [Source::Event, Source::Reconcile] {
        enqueued(source, 0);
    }
}

/// Counts the events of a message, with their delivery lag.
pub(crate) fn received(channel: &Channel, batch: &Batch, now: Timestamp) {
    let topic = || channel.as_str().to_owned();
    counter!("orderbridge_events_received_total", "topic" => topic())
        .increment(batch.events.len() as u64);
    for request in batch
        .events
        .iter()
        .filter_map(|event| event.request.as_ref().ok())
    {
        let lag = now.since(request.created_at);
        histogram!("orderbridge_event_delivery_lag_seconds", "topic" => topic())
            .record(lag.as_secs_f64());
    }
}

/// Counts the admission of an event.
pub(crate) fn admitted(channel: &Channel, admission: Admission) {
    let outcome = match admission {
        Admission::Enqueued => {
            enqueued(Source::Event, 1);
            "enqueued"
        }
        Admission::SameDelivery | Admission::SameRequest => "duplicate",
        Admission::DeadLettered => "invalid",
    };
    handled(channel, outcome, 1);
}

/// Counts a stream that ended.
pub(crate) fn stream_ended(channel: &Channel, error: &StreamError) {
    reconnects(channel, error.class(), 1);
}

/// Counts a lost cursor.
pub(crate) fn cursor_lost(channel: &Channel) {
    resets(channel, 1);
}

/// Counts enqueued jobs.
pub(crate) fn enqueued(source: Source, by: u64) {
    counter!("orderbridge_jobs_enqueued_total", "kind" => "provision", "source" => source.name())
        .increment(by);
}

/// Counts events that the store could not hold unchanged.
pub(crate) fn unstorable(by: u64) {
    counter!("orderbridge_events_unstorable_total").increment(by);
}

fn handled(channel: &Channel, outcome: &'static str, by: u64) {
    let topic = channel.as_str().to_owned();
    counter!("orderbridge_events_handled_total", "topic" => topic, "outcome" => outcome)
        .increment(by);
}

fn reconnects(channel: &Channel, reason: &'static str, by: u64) {
    let topic = channel.as_str().to_owned();
    counter!("orderbridge_subscription_reconnects_total", "topic" => topic, "reason" => reason)
        .increment(by);
}

fn resets(channel: &Channel, by: u64) {
    let topic = channel.as_str().to_owned();
    counter!("orderbridge_cursor_resets_total", "topic" => topic, "reason" => "lost").increment(by);
}
