//! A scripted event source.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::job::ProvisionRequest;
use domain::key::{Channel, EventId, IdemKey, ReplayId};
use domain::ports::{
    Batch, DeadLetter, EventSource, EventStream, Received, Start, StreamError, Undecodable,
    UndecodableReason,
};

use crate::StreamResult;
use crate::order_id;

/// An event source with one script per opened stream, in order. A stream whose script has ended,
/// or that has none, yields nothing.
#[derive(Debug, Default)]
pub struct FakeSource(Arc<Mutex<SourceState>>);

#[derive(Debug, Default)]
struct SourceState {
    scripts: VecDeque<VecDeque<Result<Batch, StreamError>>>,
    opened: Vec<Start>,
    asked: usize,
    never_opens: bool,
    readable: HashMap<EventId, ProvisionRequest>,
}

impl FakeSource {
    /// Adds the script of the next stream.
    pub fn script(&self, messages: impl IntoIterator<Item = Result<Batch, StreamError>>) {
        lock(&self.0)
            .scripts
            .push_back(messages.into_iter().collect());
    }

    /// Makes every later `open` hang.
    pub fn never_open(&self) {
        lock(&self.0).never_opens = true;
    }

    /// Makes the event decodable as this request.
    pub fn make_readable(&self, event: EventId, request: ProvisionRequest) {
        lock(&self.0).readable.insert(event, request);
    }

    /// The start of each opened stream, in order.
    #[must_use]
    pub fn opened(&self) -> Vec<Start> {
        lock(&self.0).opened.clone()
    }

    /// The number of messages requested so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        lock(&self.0).asked
    }
}

fn lock(state: &Mutex<SourceState>) -> MutexGuard<'_, SourceState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Stream {
    state: Arc<Mutex<SourceState>>,
    script: VecDeque<Result<Batch, StreamError>>,
}

#[async_trait]
impl EventSource for FakeSource {
    async fn open(&self, _channel: &Channel, start: &Start) -> StreamResult<Box<dyn EventStream>> {
        let (script, never_opens) = {
            let mut state = lock(&self.0);
            state.opened.push(start.clone());
            (
                state.scripts.pop_front().unwrap_or_default(),
                state.never_opens,
            )
        };
        if never_opens {
            std::future::pending::<()>().await;
        }
        Ok(Box::new(Stream {
            state: Arc::clone(&self.0),
            script,
        }))
    }

    async fn read_again(
        &self,
        dead_letter: &DeadLetter,
    ) -> StreamResult<Result<ProvisionRequest, Undecodable>> {
        let state = lock(&self.0);
        let read = state.readable.get(&dead_letter.event).cloned();
        Ok(read.map_or_else(|| Err(dead_letter.undecodable.clone()), Ok))
    }
}

#[async_trait]
impl EventStream for Stream {
    async fn next(&mut self) -> StreamResult<Batch> {
        lock(&self.state).asked += 1;
        match self.script.pop_front() {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }

    /// Each message is stored alone.
    async fn arrived(&mut self) -> Option<Batch> {
        None
    }
}

/// The replay id of the `n`th event.
#[must_use]
pub fn position(n: u8) -> ReplayId {
    ReplayId::new(vec![n]).expect("a replay id is not empty")
}

/// A batch with the `n`th event, which requests the `n`th order.
#[must_use]
pub fn message(n: u8) -> Batch {
    let event = EventId::new(format!("e{n}")).expect("the name is not blank");
    let key = IdemKey::new(format!("k{n}"));
    Batch {
        events: vec![Received {
            event,
            replay_id: Some(position(n)),
            request: Ok(domain::job::ProvisionRequest {
                order: order_id(u32::from(n)),
                idem_key: key,
                correlation: None,
                requested_by: None,
                version: 1,
                created_at: domain::time::Timestamp::from_millis(1_767_225_600_000),
            }),
        }],
        latest: Some(position(n)),
    }
}

/// A batch with the `n`th event, which is undecodable.
#[must_use]
pub fn poison(n: u8) -> Batch {
    let mut batch = message(n);
    for event in &mut batch.events {
        event.request = Err(Undecodable {
            reason: UndecodableReason::Malformed,
            detail: "a byte is left over".to_owned(),
            schema_id: "s1".to_owned(),
            payload: vec![n],
            fields: Vec::new(),
        });
    }
    batch
}

/// A keepalive whose replay id covers the events up to the `n`th.
#[must_use]
pub fn heartbeat(n: u8) -> Batch {
    Batch {
        events: Vec::new(),
        latest: Some(position(n)),
    }
}
