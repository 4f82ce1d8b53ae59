//! The event bus: what was published, and which positions it still knows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use domain::job::ProvisionRequest;
use domain::key::{EventId, ReplayId};
use domain::ports::{Received, Start, Undecodable, UndecodableReason};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::trace::lock;

#[derive(Debug, Default)]
pub(crate) struct Bus {
    books: Mutex<Books>,
    pub(crate) published: Notify,
}

#[derive(Debug, Default)]
struct Books {
    events: Vec<Received>,
    /// Events before it are gone.
    kept_from: usize,
    /// The era in which positions are valid; a new one begins when the bus forgets them.
    era: u64,
    /// Every position ever handed out, and where it stands.
    positions: BTreeMap<Vec<u8>, usize>,
    /// Events that nobody was promised: purged before they were read, or skipped by whoever
    /// asked for the newest only.
    excused: BTreeSet<EventId>,
    /// Events that cannot be read before a moment.
    sealed: BTreeMap<EventId, Instant>,
}

impl Books {
    fn position(&self, at: usize) -> Vec<u8> {
        // Wide and irregular, so that nobody can compute with it.
        let at = (at as u64).wrapping_mul(0x0001_0000_01B3) ^ 0x5bd1;
        [self.era.to_be_bytes(), at.to_be_bytes()].concat()
    }

    fn request(&self, received: &Received) -> Result<ProvisionRequest, Undecodable> {
        let sealed = self.sealed.get(&received.event);
        match sealed.is_some_and(|until| Instant::now() < *until) {
            true => Err(Undecodable {
                reason: UndecodableReason::UnknownSchema,
                detail: "no such schema".to_owned(),
                schema_id: "s2".to_owned(),
                payload: vec![1],
                fields: Vec::new(),
            }),
            false => received.request.clone(),
        }
    }
}

impl Bus {
    /// Adds an event; its position is the bus's affair.
    pub(crate) fn publish(&self, mut event: Received) {
        let mut books = lock(&self.books);
        let at = books.events.len();
        let position = books.position(at);
        books.positions.insert(position.clone(), at);
        event.replay_id = ReplayId::new(position);
        books.events.push(event);
        drop(books);
        self.published.notify_waiters();
    }

    /// Where a stream begins, or `None` when the position is not known any more. Whoever asks
    /// for the newest only, and `may_skip` what came before, is excused for it.
    pub(crate) fn begin(
        &self,
        start: &Start,
        may_skip: bool,
        stored: impl Fn(&EventId) -> bool,
    ) -> Option<usize> {
        let mut books = lock(&self.books);
        match start {
            Start::Earliest => Some(books.kept_from),
            Start::Latest => {
                let skipped: Vec<_> = books
                    .events
                    .iter()
                    .map(|received| received.event.clone())
                    .filter(|event| may_skip && !stored(event))
                    .collect();
                books.excused.extend(skipped);
                Some(books.events.len())
            }
            Start::After(position) => {
                let era = books.era.to_be_bytes();
                position.as_bytes().starts_with(&era).then_some(())?;
                let next = books.positions.get(position.as_bytes())? + 1;
                (next >= books.kept_from).then_some(next)
            }
        }
    }

    /// Nobody can read the event before that moment.
    pub(crate) fn seal(&self, event: &EventId, until: Instant) {
        lock(&self.books).sealed.insert(event.clone(), until);
    }

    /// At most `count` events from `at`.
    pub(crate) fn read(&self, at: usize, count: usize) -> Vec<Received> {
        let books = lock(&self.books);
        let events = books.events.iter().skip(at).take(count);
        events
            .map(|received| Received {
                request: books.request(received),
                ..received.clone()
            })
            .collect()
    }

    /// The event as it can be read now; `None` for one that was never published.
    pub(crate) fn read_again(
        &self,
        event: &EventId,
    ) -> Option<Result<ProvisionRequest, Undecodable>> {
        let books = lock(&self.books);
        let mut events = books.events.iter();
        let received = events.find(|received| received.event == *event)?;
        Some(books.request(received))
    }

    /// The position that stands for everything before `next`.
    pub(crate) fn position_before(&self, next: usize) -> Option<ReplayId> {
        let mut books = lock(&self.books);
        let at = next.checked_sub(1)?;
        let position = books.position(at);
        books.positions.insert(position.clone(), at);
        ReplayId::new(position)
    }

    /// Forgets every position; with `purge`, every event too.
    pub(crate) fn forget(&self, purge: bool, stored: impl Fn(&EventId) -> bool) {
        let mut books = lock(&self.books);
        books.era += 1;
        if purge {
            let gone: Vec<_> = books
                .events
                .iter()
                .map(|received| received.event.clone())
                .filter(|event| !stored(event))
                .collect();
            books.excused.extend(gone);
            books.kept_from = books.events.len();
        }
    }

    /// How many events a position stands for, in whatever era it was handed out.
    pub(crate) fn events_up_to(&self, position: &ReplayId) -> Option<usize> {
        let books = lock(&self.books);
        Some(books.positions.get(position.as_bytes())? + 1)
    }

    /// The events before `end` that `stored` does not know and nobody is excused for.
    pub(crate) fn missing(&self, end: usize, stored: impl Fn(&EventId) -> bool) -> Vec<EventId> {
        let books = lock(&self.books);
        books.events[..end.min(books.events.len())]
            .iter()
            .map(|received| &received.event)
            .filter(|event| !stored(event) && !books.excused.contains(event))
            .cloned()
            .collect()
    }

    pub(crate) fn is_excused(&self, event: &EventId) -> bool {
        lock(&self.books).excused.contains(event)
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.books).events.len()
    }

    /// The distinct events that nobody can act on.
    pub(crate) fn undecodable(&self) -> BTreeSet<EventId> {
        lock(&self.books)
            .events
            .iter()
            .filter(|received| received.request.is_err())
            .map(|received| received.event.clone())
            .collect()
    }
}
