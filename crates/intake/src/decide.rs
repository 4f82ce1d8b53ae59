//! Pure decisions: what a message becomes, and how long an error pauses the stream.

use std::time::Duration;

use domain::job::NewJob;
use domain::key::Channel;
use domain::ports::{Batch, DeadLetter, Delivery, Entry, Epoch, StreamError};

/// What to do when the bus no longer has the stored cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// Read every retained event: repeats are harmless, since requests are deduplicated.
    All,
    /// Continue with new events.
    Latest,
    /// Stop until an operator decides.
    Stop,
}

/// The delay before the stream is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Exponential backoff with full jitter.
    Backoff {
        /// The first delay.
        base: Duration,
        /// The maximum delay.
        cap: Duration,
    },
    /// A fixed delay.
    Fixed(Duration),
}

/// The delivery of a message: one commit.
#[must_use]
pub fn decide(channel: &Channel, epoch: Epoch, batch: Batch) -> Delivery {
    // An event without a position must not move the cursor past its neighbours: without one for
    // every event, the cursor is left unchanged.
    let last = batch
        .events
        .iter()
        .rev()
        .find_map(|event| event.replay_id.clone());
    let positioned = batch.events.iter().all(|event| event.replay_id.is_some());
    let cursor = match (batch.events.is_empty(), positioned) {
        (true, _) => batch.latest,
        (false, true) => last,
        (false, false) => None,
    };
    let entries = batch
        .events
        .into_iter()
        .map(|received| match received.request {
            Ok(request) => Entry::Job(NewJob::of_event(&received.event, request)),
            Err(undecodable) => Entry::DeadLetter(DeadLetter {
                event: received.event,
                replay_id: received.replay_id,
                undecodable,
            }),
        })
        .collect();
    Delivery {
        channel: channel.clone(),
        epoch,
        entries,
        cursor,
    }
}

/// The delivery of messages that arrived together, in their order: one commit.
#[must_use]
pub fn decide_all(channel: &Channel, epoch: Epoch, batches: Vec<Batch>) -> Delivery {
    let nothing = Batch::default();
    let first = decide(channel, epoch, nothing);
    batches.into_iter().fold(first, |mut all, batch| {
        let one = decide(channel, epoch, batch);
        all.entries.extend(one.entries);
        // A later position covers the messages before it, which are stored with it.
        all.cursor = one.cursor.or(all.cursor);
        all
    })
}

/// The pause after an error.
#[must_use]
pub fn pause_after(error: &StreamError) -> Pause {
    let seconds = Duration::from_secs;
    match error {
        StreamError::Disconnected { .. } | StreamError::CursorLost { .. } => Pause::Backoff {
            base: Duration::from_millis(500),
            cap: seconds(30),
        },
        StreamError::Throttled { .. } => Pause::Backoff {
            base: seconds(5),
            cap: seconds(300),
        },
        StreamError::AllowanceUsedUp { .. } => Pause::Fixed(seconds(15 * 60)),
        StreamError::LoggedOut { .. } => Pause::Fixed(seconds(1)),
        StreamError::Denied { .. } => Pause::Fixed(seconds(10 * 60)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::key::{EventId, ReplayId};
    use domain::ports::{Received, Undecodable, UndecodableReason};

    fn event(position: Option<u8>) -> Received {
        Received {
            event: EventId::new("e").unwrap(),
            replay_id: position.and_then(|byte| ReplayId::new(vec![byte])),
            request: Err(Undecodable {
                reason: UndecodableReason::Malformed,
                detail: String::new(),
                schema_id: String::new(),
                payload: Vec::new(),
                fields: Vec::new(),
            }),
        }
    }

    #[test]
    fn cursor_covers_exactly_the_stored_events() {
        let channel = Channel::new("/event/X__e").unwrap();
        let latest = ReplayId::new(vec![9]);
        let check = |events: Vec<Received>, cursor: Option<u8>| {
            let batch = Batch {
                events,
                latest: latest.clone(),
            };
            let delivery = decide(&channel, Epoch::from_number(1), batch);
            assert_eq!(
                delivery.cursor,
                cursor.and_then(|byte| ReplayId::new(vec![byte]))
            );
        };
        check(vec![], Some(9));
        check(vec![event(Some(3)), event(Some(4))], Some(4));
        check(vec![event(Some(3)), event(None)], None);
    }

    #[test]
    fn messages_together_store_all_events_under_the_last_position() {
        let channel = Channel::new("/event/X__e").unwrap();
        let batch = |events: &[Option<u8>], latest: u8| Batch {
            events: events.iter().map(|position| event(*position)).collect(),
            latest: ReplayId::new(vec![latest]),
        };
        let check = |batches: Vec<Batch>, count: usize, cursor: Option<u8>| {
            let delivery = decide_all(&channel, Epoch::from_number(1), batches);
            assert_eq!(delivery.entries.len(), count);
            assert_eq!(
                delivery.cursor,
                cursor.and_then(|byte| ReplayId::new(vec![byte]))
            );
        };
        check(vec![], 0, None);
        check(
            vec![batch(&[Some(1), Some(2)], 2), batch(&[Some(3)], 3)],
            3,
            Some(3),
        );
        check(vec![batch(&[Some(1)], 1), batch(&[], 5)], 1, Some(5));
        // As when they are stored one after the other.
        check(vec![batch(&[Some(1)], 1), batch(&[None], 2)], 2, Some(1));
        check(vec![batch(&[None], 1), batch(&[Some(2)], 2)], 2, Some(2));
    }
}
