//! Access to the event bus, with broken streams, missing replay ids and cursor loss.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::ProvisionRequest;
use domain::key::Channel;
use domain::ports::{Batch, DeadLetter, EventSource, EventStream, Start, StreamError, Undecodable};
use intake::OnLoss;
use testkit::StreamResult;

use super::SimProcess;

/// Keepalive interval.
const HEARTBEAT: Duration = Duration::from_secs(5);

struct Stream {
    process: Arc<SimProcess>,
    /// Index of the next event.
    at: usize,
}

fn cut(detail: &str) -> StreamError {
    StreamError::Disconnected {
        detail: detail.to_owned(),
        source: None,
    }
}

/// A process's connection to the bus.
pub(super) struct BusClient(pub(super) Arc<SimProcess>);

#[async_trait]
impl EventSource for BusClient {
    async fn open(&self, _channel: &Channel, start: &Start) -> StreamResult<Box<dyn EventStream>> {
        let (process, world) = (&self.0, &self.0.world);
        process.until_resumed().await;
        process.network_delay().await;
        if process.injects(world.faults.bus_cut) {
            process.say(|| "the stream cannot be opened".to_owned());
            return Err(cut("unavailable"));
        }
        let store = &world.store;
        // Starting with the newest event skips earlier ones; so does cursor loss with that
        // setting.
        let may_skip = world.faults.on_loss == OnLoss::Latest || !store.has_stored_cursor();
        let started = world.bus.begin(start, may_skip, |event| store.has(event));
        let Some(at) = started else {
            process.say(|| format!("unknown replay id {start:?}"));
            return Err(StreamError::CursorLost {
                detail: "the replay id is not valid".to_owned(),
            });
        };
        if *start == Start::Earliest {
            store.allow_rewind();
        }
        process.say(|| format!("stream opened at event {at} for {start:?}"));
        process.until_resumed().await;
        let process = Arc::clone(process);
        Ok(Box::new(Stream { process, at }))
    }

    async fn read_again(
        &self,
        dead_letter: &DeadLetter,
    ) -> StreamResult<Result<ProvisionRequest, Undecodable>> {
        let (process, world) = (&self.0, &self.0.world);
        process.until_resumed().await;
        process.network_delay().await;
        if process.injects(world.faults.bus_cut) {
            process.say(|| format!("{} has no schema now", dead_letter.event));
            return Err(cut("unavailable"));
        }
        let read = world.bus.decode_again(&dead_letter.event);
        let read = read.unwrap_or_else(|| Err(dead_letter.undecodable.clone()));
        process.say(|| match &read {
            Ok(_) => format!("{} is decodable now", dead_letter.event),
            Err(_) => format!("{} is still undecodable", dead_letter.event),
        });
        process.until_resumed().await;
        Ok(read)
    }
}

#[async_trait]
impl EventStream for Stream {
    async fn next(&mut self) -> StreamResult<Batch> {
        let process = Arc::clone(&self.process);
        let world = &process.world;
        process.until_resumed().await;
        process.network_delay().await;
        if process.injects(world.faults.bus_cut) {
            process.say(|| "the stream broke".to_owned());
            return Err(match world.rng.below(8) {
                0 => StreamError::Throttled {
                    detail: "too many requests".to_owned(),
                },
                _ => cut("connection reset"),
            });
        }
        let published = world.bus.published.notified();
        if self.at >= world.bus.len() {
            let _ = tokio::time::timeout(HEARTBEAT, published).await;
            process.network_delay().await;
        }
        let batch = self.read();
        process.until_resumed().await;
        Ok(batch)
    }

    async fn arrived(&mut self) -> Option<Batch> {
        let world = &self.process.world;
        (self.at < world.bus.len() && world.rng.chance(500)).then(|| self.read())
    }
}

impl Stream {
    /// Some of the events that come next.
    fn read(&mut self) -> Batch {
        let (process, world) = (&self.process, &self.process.world);
        let count = usize::try_from(world.rng.between(1, 5)).unwrap_or(1);
        let mut events = world.bus.read(self.at, count);
        self.at += events.len();
        for event in &mut events {
            if process.injects(world.faults.bus_missing_replay_id) {
                event.replay_id = None;
            }
        }
        let latest = world.bus.replay_id_before(self.at);
        process.say(|| {
            let names: Vec<_> = events.iter().map(|event| event.event.as_str()).collect();
            format!("received {names:?} up to event {}", self.at)
        });
        Batch { events, latest }
    }
}
