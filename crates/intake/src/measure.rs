//! What is counted and timed. Every counter begins at zero for every combination of labels:
//! one that appears with its first failure hides that failure from a rate.

use domain::job::{Admission, Source};
use domain::key::Channel;
use domain::ports::{Batch, StreamError};
use domain::time::Timestamp;
use metrics::{counter, histogram};

/// Shows every counter at zero.
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

/// A message of the stream has come: how long its events were on the way.
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

/// What became of an event.
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

/// The stream is over.
pub(crate) fn over(channel: &Channel, error: &StreamError) {
    reconnects(channel, error.class(), 1);
}

/// The stored position was lost.
pub(crate) fn cursor_lost(channel: &Channel) {
    resets(channel, 1);
}

/// Jobs were made.
pub(crate) fn enqueued(source: Source, by: u64) {
    counter!("orderbridge_jobs_enqueued_total", "kind" => "provision", "source" => source.name())
        .increment(by);
}

/// Events that the store could not hold as they were.
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
