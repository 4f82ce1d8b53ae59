//! What to make of a message, and of an error. Pure.

use std::time::Duration;

use domain::job::NewJob;
use domain::key::Channel;
use domain::ports::{Batch, DeadLetter, Delivery, Entry, Epoch, StreamError};

/// What to do when the bus does not know the stored position any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLoss {
    /// Read everything that is still kept: repeats are free, since requests are recognised.
    All,
    /// Go on with what comes from now on.
    Latest,
    /// Stop until a person decides.
    Stop,
}

/// How long to wait before the stream is opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Exponentially longer each time, with full jitter.
    Backoff {
        /// The first wait.
        base: Duration,
        /// The longest.
        cap: Duration,
    },
    /// So long.
    Fixed(Duration),
}

/// What a message becomes: one commit.
#[must_use]
pub fn decide(channel: &Channel, epoch: Epoch, batch: Batch) -> Delivery {
    // An event without a position must not move the cursor past its neighbours, so the
    // message's own position counts, and the last event's only where that is missing.
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

/// How long an error keeps the stream closed.
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
    fn the_cursor_stands_for_exactly_what_is_stored_with_it() {
        let channel = Channel::new("/event/X__e").unwrap();
        let latest = ReplayId::new(vec![9]);
        let check = |events: Vec<Received>, cursor: Option<u8>| {
            let batch = Batch {
                events,
                latest: latest.clone(),
            };
            let delivery = decide(&channel, Epoch(1), batch);
            assert_eq!(
                delivery.cursor,
                cursor.and_then(|byte| ReplayId::new(vec![byte]))
            );
        };
        check(vec![], Some(9));
        check(vec![event(Some(3)), event(Some(4))], Some(4));
        check(vec![event(Some(3)), event(None)], None);
    }
}
