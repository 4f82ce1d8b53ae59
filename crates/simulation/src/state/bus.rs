//! The event bus: published events and valid replay ids.

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
    state: Mutex<BusState>,
    pub(crate) published: Notify,
}

#[derive(Debug, Default)]
struct BusState {
    events: Vec<Received>,
    /// Index of the first retained event.
    kept_from: usize,
    /// Generation of valid replay ids; a new one starts when the bus invalidates them.
    generation: u64,
    /// Every replay id ever issued, with the index of its event.
    replay_ids: BTreeMap<Vec<u8>, usize>,
    /// Events that may stay unprocessed: expired before they were read, or skipped by a
    /// subscriber that started with the newest.
    exempt: BTreeSet<EventId>,
    /// Events that are undecodable until a moment.
    undecodable_until: BTreeMap<EventId, Instant>,
}

impl BusState {
    fn replay_id(&self, at: usize) -> Vec<u8> {
        // Irregular, so that no arithmetic on replay ids works.
        let at = (at as u64).wrapping_mul(0x0001_0000_01B3) ^ 0x5bd1;
        [self.generation.to_be_bytes(), at.to_be_bytes()].concat()
    }

    fn request(&self, received: &Received) -> Result<ProvisionRequest, Undecodable> {
        let undecodable_until = self.undecodable_until.get(&received.event);
        match undecodable_until.is_some_and(|until| Instant::now() < *until) {
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
    /// Publishes an event under a new replay id.
    pub(crate) fn publish(&self, mut event: Received) {
        let mut state = lock(&self.state);
        let at = state.events.len();
        let replay_id = state.replay_id(at);
        state.replay_ids.insert(replay_id.clone(), at);
        event.replay_id = ReplayId::new(replay_id);
        state.events.push(event);
        drop(state);
        self.published.notify_waiters();
    }

    /// Index at which a stream starts, or `None` when the replay id is invalid. Events skipped by
    /// a start at the newest are exempt if `may_skip`.
    pub(crate) fn begin(
        &self,
        start: &Start,
        may_skip: bool,
        stored: impl Fn(&EventId) -> bool,
    ) -> Option<usize> {
        let mut state = lock(&self.state);
        match start {
            Start::Earliest => Some(state.kept_from),
            Start::Latest => {
                let skipped: Vec<_> = state
                    .events
                    .iter()
                    .map(|received| received.event.clone())
                    .filter(|event| may_skip && !stored(event))
                    .collect();
                state.exempt.extend(skipped);
                Some(state.events.len())
            }
            Start::After(replay_id) => {
                let generation = state.generation.to_be_bytes();
                replay_id
                    .as_bytes()
                    .starts_with(&generation)
                    .then_some(())?;
                let next = state.replay_ids.get(replay_id.as_bytes())? + 1;
                (next >= state.kept_from).then_some(next)
            }
        }
    }

    /// Makes an event undecodable until a moment.
    pub(crate) fn make_undecodable(&self, event: &EventId, until: Instant) {
        lock(&self.state)
            .undecodable_until
            .insert(event.clone(), until);
    }

    /// At most `count` events from index `at`.
    pub(crate) fn read(&self, at: usize, count: usize) -> Vec<Received> {
        let state = lock(&self.state);
        let events = state.events.iter().skip(at).take(count);
        events
            .map(|received| Received {
                request: state.request(received),
                ..received.clone()
            })
            .collect()
    }

    /// The event as it decodes now; `None` if it was never published.
    pub(crate) fn decode_again(
        &self,
        event: &EventId,
    ) -> Option<Result<ProvisionRequest, Undecodable>> {
        let state = lock(&self.state);
        let mut events = state.events.iter();
        let received = events.find(|received| received.event == *event)?;
        Some(state.request(received))
    }

    /// The replay id of the event before index `next`.
    pub(crate) fn replay_id_before(&self, next: usize) -> Option<ReplayId> {
        let mut state = lock(&self.state);
        let at = next.checked_sub(1)?;
        let replay_id = state.replay_id(at);
        state.replay_ids.insert(replay_id.clone(), at);
        ReplayId::new(replay_id)
    }

    /// Invalidates every replay id; with `purge`, removes every event too.
    pub(crate) fn invalidate_replay_ids(&self, purge: bool, stored: impl Fn(&EventId) -> bool) {
        let mut state = lock(&self.state);
        state.generation += 1;
        if purge {
            let gone: Vec<_> = state
                .events
                .iter()
                .map(|received| received.event.clone())
                .filter(|event| !stored(event))
                .collect();
            state.exempt.extend(gone);
            state.kept_from = state.events.len();
        }
    }

    /// The number of events up to a replay id of any generation.
    pub(crate) fn events_up_to(&self, replay_id: &ReplayId) -> Option<usize> {
        let state = lock(&self.state);
        Some(state.replay_ids.get(replay_id.as_bytes())? + 1)
    }

    /// Events before `end` that are neither stored nor exempt.
    pub(crate) fn missing(&self, end: usize, stored: impl Fn(&EventId) -> bool) -> Vec<EventId> {
        let state = lock(&self.state);
        state.events[..end.min(state.events.len())]
            .iter()
            .map(|received| &received.event)
            .filter(|event| !stored(event) && !state.exempt.contains(event))
            .cloned()
            .collect()
    }

    pub(crate) fn is_exempt(&self, event: &EventId) -> bool {
        lock(&self.state).exempt.contains(event)
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.state).events.len()
    }

    /// Distinct malformed events.
    pub(crate) fn undecodable(&self) -> BTreeSet<EventId> {
        lock(&self.state)
            .events
            .iter()
            .filter(|received| received.request.is_err())
            .map(|received| received.event.clone())
            .collect()
    }
}
