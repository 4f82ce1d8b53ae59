//! The way to the event bus: cut streams, heartbeats, poison, lost positions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::ProvisionRequest;
use domain::key::Channel;
use domain::ports::{Batch, DeadLetter, EventSource, EventStream, Start, StreamError, Undecodable};
use intake::OnLoss;

use super::Seat;

/// Heartbeats come so often.
const HEARTBEAT: Duration = Duration::from_secs(5);

struct Stream {
    seat: Arc<Seat>,
    /// Where the next event stands.
    at: usize,
}

fn cut(detail: &str) -> StreamError {
    StreamError::Disconnected {
        detail: detail.to_owned(),
        source: None,
    }
}

/// The bus as a process sees it.
pub(super) struct Line(pub(super) Arc<Seat>);

#[async_trait]
impl EventSource for Line {
    async fn open(
        &self,
        _channel: &Channel,
        start: &Start,
    ) -> Result<Box<dyn EventStream>, StreamError> {
        let (seat, world) = (&self.0, &self.0.world);
        seat.here().await;
        seat.travel().await;
        if seat.strikes(world.climate.bus_cut) {
            seat.say(|| "the stream cannot be opened".to_owned());
            return Err(cut("unavailable"));
        }
        let ledger = &world.ledger;
        // Who begins with the newest skips what came before; and who lost its position, where
        // that is the setting.
        let may_skip = world.climate.on_loss == OnLoss::Latest || !ledger.ever_stood_somewhere();
        let begun = world.bus.begin(start, may_skip, |event| ledger.has(event));
        let Some(at) = begun else {
            seat.say(|| format!("the bus does not know {start:?}"));
            return Err(StreamError::CursorLost {
                detail: "the replay id is not valid".to_owned(),
            });
        };
        if *start == Start::Earliest {
            ledger.rewound();
        }
        seat.say(|| format!("stream opened at event {at} for {start:?}"));
        seat.here().await;
        let seat = Arc::clone(seat);
        Ok(Box::new(Stream { seat, at }))
    }

    async fn read_again(
        &self,
        letter: &DeadLetter,
    ) -> Result<Result<ProvisionRequest, Undecodable>, StreamError> {
        let (seat, world) = (&self.0, &self.0.world);
        seat.here().await;
        seat.travel().await;
        if seat.strikes(world.climate.bus_cut) {
            seat.say(|| format!("{} cannot be read now", letter.event));
            return Err(cut("unavailable"));
        }
        let read = world.bus.read_again(&letter.event);
        let read = read.unwrap_or_else(|| Err(letter.undecodable.clone()));
        seat.say(|| match &read {
            Ok(_) => format!("{} can be read by now", letter.event),
            Err(_) => format!("{} still cannot be read", letter.event),
        });
        seat.here().await;
        Ok(read)
    }
}

#[async_trait]
impl EventStream for Stream {
    async fn next(&mut self) -> Result<Batch, StreamError> {
        let (seat, world) = (&self.seat, &self.seat.world);
        seat.here().await;
        seat.travel().await;
        if seat.strikes(world.climate.bus_cut) {
            seat.say(|| "the stream broke".to_owned());
            return Err(match world.dice.below(8) {
                0 => StreamError::Throttled {
                    detail: "too many requests".to_owned(),
                },
                _ => cut("connection reset"),
            });
        }
        let published = world.bus.published.notified();
        if self.at >= world.bus.len() {
            let _ = tokio::time::timeout(HEARTBEAT, published).await;
            seat.travel().await;
        }
        let count = usize::try_from(world.dice.between(1, 5)).unwrap_or(1);
        let mut events = world.bus.read(self.at, count);
        self.at += events.len();
        for event in &mut events {
            if seat.strikes(world.climate.bus_nameless) {
                event.replay_id = None;
            }
        }
        let latest = world.bus.position_before(self.at);
        seat.say(|| {
            let names: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
            format!("received {names:?} up to event {}", self.at)
        });
        seat.here().await;
        Ok(Batch { events, latest })
    }
}
