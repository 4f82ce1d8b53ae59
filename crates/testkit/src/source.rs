//! An event source that says what it was told to.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::job::ProvisionRequest;
use domain::key::{Channel, EventId, IdemKey, ReplayId};
use domain::ports::{
    Batch, DeadLetter, EventSource, EventStream, Received, Start, StreamError, Undecodable,
    UndecodableReason,
};

use crate::order_id;

/// An event source with a script: one for each stream that is opened, in sequence. A stream
/// that has said everything, or has no script, stays silent.
#[derive(Debug, Default)]
pub struct FakeSource(Arc<Mutex<Books>>);

#[derive(Debug, Default)]
struct Books {
    scripts: VecDeque<VecDeque<Result<Batch, StreamError>>>,
    opened: Vec<Start>,
    asked: usize,
    never_opens: bool,
    readable: HashMap<EventId, ProvisionRequest>,
}

impl FakeSource {
    /// What the next stream that has no script yet will say.
    pub fn script(&self, messages: impl IntoIterator<Item = Result<Batch, StreamError>>) {
        lock(&self.0)
            .scripts
            .push_back(messages.into_iter().collect());
    }

    /// Opening a stream never comes to an end from now on.
    pub fn never_open(&self) {
        lock(&self.0).never_opens = true;
    }

    /// The event can be read from now on, and asks for this.
    pub fn make_readable(&self, event: EventId, request: ProvisionRequest) {
        lock(&self.0).readable.insert(event, request);
    }

    /// Where each stream was opened, in sequence.
    #[must_use]
    pub fn opened(&self) -> Vec<Start> {
        lock(&self.0).opened.clone()
    }

    /// How many messages were asked for so far.
    #[must_use]
    pub fn asked(&self) -> usize {
        lock(&self.0).asked
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Stream {
    books: Arc<Mutex<Books>>,
    script: VecDeque<Result<Batch, StreamError>>,
}

#[async_trait]
impl EventSource for FakeSource {
    async fn open(
        &self,
        _channel: &Channel,
        start: &Start,
    ) -> Result<Box<dyn EventStream>, StreamError> {
        let (script, never_opens) = {
            let mut books = lock(&self.0);
            books.opened.push(start.clone());
            (
                books.scripts.pop_front().unwrap_or_default(),
                books.never_opens,
            )
        };
        if never_opens {
            std::future::pending::<()>().await;
        }
        Ok(Box::new(Stream {
            books: Arc::clone(&self.0),
            script,
        }))
    }

    async fn read_again(
        &self,
        letter: &DeadLetter,
    ) -> Result<Result<ProvisionRequest, Undecodable>, StreamError> {
        let books = lock(&self.0);
        let read = books.readable.get(&letter.event).cloned();
        Ok(read.map_or_else(|| Err(letter.undecodable.clone()), Ok))
    }
}

#[async_trait]
impl EventStream for Stream {
    async fn next(&mut self) -> Result<Batch, StreamError> {
        lock(&self.books).asked += 1;
        match self.script.pop_front() {
            Some(message) => message,
            None => std::future::pending().await,
        }
    }
}

/// The position of the `n`th event.
#[must_use]
pub fn position(n: u8) -> ReplayId {
    ReplayId::new(vec![n]).expect("one byte is a position")
}

/// A message with the `n`th event, which asks for the `n`th order.
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

/// A message with the `n`th event, which nobody can read.
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

/// A message without events, which stands for everything up to the `n`th.
#[must_use]
pub fn heartbeat(n: u8) -> Batch {
    Batch {
        events: Vec::new(),
        latest: Some(position(n)),
    }
}
