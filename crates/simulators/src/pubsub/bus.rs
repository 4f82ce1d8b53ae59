//! The event bus: positions, stored events, schemas and waiting streams.
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::Ordering},
};

use jiff::{SignedDuration, Timestamp};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::Serialize;
use tokio::sync::{broadcast, watch};
use tonic::{Code, Status};

use super::{
    BusOptions, EventField, EventSchema, Fields, StreamFault, StreamFaultKind, UnaryFault, encode,
    managed::ManagedStates,
    replay,
    stats::Counters,
    status::status,
    wire::{ConsumerEvent, FetchRequest, ProducerEvent, ReplayPreset},
};
use crate::{clock::SkewedClock, faults::Script, lock, salesforce::integration_user};

/// An event on the bus.
#[derive(Debug, Clone, Serialize)]
pub struct Published {
    /// The event's UUID.
    pub event_id: String,
    /// Its replay id, lower-case hex.
    pub replay_id: String,
    /// Its schema.
    pub schema_id: String,
}

#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) position: u64,
    pub(super) event: ProducerEvent,
    pub(super) arrived: std::time::Instant,
    pub(super) at: Timestamp,
}

impl Stored {
    pub(super) fn delivery(&self) -> ConsumerEvent {
        ConsumerEvent {
            event: Some(self.event.clone()),
            replay_id: replay::encode(self.position),
        }
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) options: BusOptions,
    pub(super) position: u64,
    pub(super) issued: BTreeMap<u64, Timestamp>,
    pub(super) events: BTreeMap<u64, Stored>,
    pub(super) schemas: Vec<EventSchema>,
    pub(super) epoch: u64,
    pub(super) allocation_from: u64,
}

#[derive(Debug)]
pub(crate) struct Bus {
    pub(super) clock: Arc<SkewedClock>,
    pub(super) rng: Mutex<StdRng>,
    pub(super) state: Mutex<State>,
    /// Incremented whenever there may be something to deliver.
    pub(super) changes: watch::Sender<u64>,
    /// Faults for all open streams.
    pub(super) instant_faults: broadcast::Sender<StreamFaultKind>,
    pub(super) stream_faults: Mutex<Vec<StreamFault>>,
    pub(super) unary_faults: Script<UnaryFault>,
    pub(super) managed: Mutex<ManagedStates>,
    pub(super) counters: Counters,
}

impl Bus {
    pub(crate) fn new(options: BusOptions, seed: u64, clock: Arc<SkewedClock>) -> Self {
        let schema = EventSchema::new(&options.event, &options.fields);
        let mut rng = StdRng::seed_from_u64(seed ^ 0xb05);
        let position = rng.random_range(10_000_000..20_000_000);
        let issued = BTreeMap::from([(position, clock.now())]);
        Self {
            clock,
            rng: Mutex::new(rng),
            state: Mutex::new(State {
                options,
                position,
                issued,
                events: BTreeMap::new(),
                schemas: vec![schema],
                epoch: 0,
                allocation_from: 0,
            }),
            changes: watch::Sender::new(0),
            instant_faults: broadcast::channel(16).0,
            stream_faults: Mutex::default(),
            unary_faults: Script::default(),
            managed: Mutex::default(),
            counters: Counters::default(),
        }
    }

    pub(crate) fn options(&self) -> BusOptions {
        lock(&self.state).options.clone()
    }

    pub(crate) fn change_options(&self, change: impl FnOnce(&mut BusOptions)) {
        change(&mut lock(&self.state).options);
    }

    pub(crate) fn topic(&self) -> String {
        format!("/event/{}", lock(&self.state).options.event)
    }

    pub(crate) fn uuid(&self) -> String {
        let bytes: [u8; 16] = lock(&self.rng).random();
        uuid::Builder::from_random_bytes(bytes)
            .into_uuid()
            .to_string()
    }

    pub(crate) fn schema(&self) -> EventSchema {
        let state = lock(&self.state);
        // There is always the initial schema.
        state.schemas[state.schemas.len() - 1].clone()
    }

    pub(super) fn schema_by_id(&self, id: &str) -> Option<EventSchema> {
        let state = lock(&self.state);
        state.schemas.iter().find(|schema| schema.id == id).cloned()
    }

    /// Replaces the event's custom fields; earlier schemas stay resolvable.
    pub(crate) fn evolve(&self, change: impl FnOnce(&mut Vec<EventField>)) -> EventSchema {
        let mut state = lock(&self.state);
        let mut fields = state.schemas[state.schemas.len() - 1].fields.clone();
        change(&mut fields);
        let schema = EventSchema::new(&state.options.event, &fields);
        state.schemas.retain(|known| known.id != schema.id);
        state.schemas.push(schema.clone());
        schema
    }

    /// Publishes an event with the current schema.
    pub(crate) fn publish(&self, values: &Fields) -> Published {
        let schema = self.schema();
        let created = self.clock.now().as_millisecond();
        let event = ProducerEvent {
            id: self.uuid(),
            schema_id: schema.id.clone(),
            payload: encode(&schema, created, &integration_user(), values),
            headers: Vec::new(),
        };
        self.append(event)
    }

    /// Appends an event without changes.
    pub(crate) fn append(&self, event: ProducerEvent) -> Published {
        let gap = self.gap();
        let now = self.clock.now();
        let published = {
            let mut state = lock(&self.state);
            state.position += gap;
            let position = state.position;
            state.issued.insert(position, now);
            let published = Published {
                event_id: event.id.clone(),
                replay_id: hex(&replay::encode(position)),
                schema_id: event.schema_id.clone(),
            };
            let arrived = std::time::Instant::now();
            let stored = Stored {
                position,
                event,
                arrived,
                at: now,
            };
            state.events.insert(position, stored);
            published
        };
        self.changes.send_modify(|n| *n += 1);
        published
    }

    /// Appends the newest event again: same UUID, new position.
    pub(crate) fn repeat_last(&self) -> Option<Published> {
        let last = lock(&self.state).events.values().next_back().cloned()?;
        Some(self.append(last.event))
    }

    fn gap(&self) -> u64 {
        if lock(&self.state).options.foreign_traffic {
            lock(&self.rng).random_range(1..=50)
        } else {
            1
        }
    }

    /// The newest position, which foreign traffic advances.
    pub(super) fn keepalive_position(&self) -> u64 {
        let gap = self.gap();
        let now = self.clock.now();
        let mut state = lock(&self.state);
        if state.options.foreign_traffic {
            state.position += gap;
        }
        let position = state.position;
        state.issued.insert(position, now);
        position
    }

    /// Removes events older than the retention.
    fn purge(&self, state: &mut State) {
        let kept = SignedDuration::try_from(state.options.retention).unwrap_or(SignedDuration::MAX);
        let Ok(oldest) = self.clock.now().checked_sub(kept) else {
            return;
        };
        // Positions rise with time, so only the oldest events can have expired.
        while state
            .events
            .first_key_value()
            .is_some_and(|(_, stored)| stored.at < oldest)
        {
            state.events.pop_first();
        }
        while state
            .issued
            .first_key_value()
            .is_some_and(|(_, at)| *at < oldest)
        {
            state.issued.pop_first();
        }
    }

    /// Up to `limit` events after `position`.
    pub(super) fn after(&self, position: u64, limit: usize) -> Vec<Stored> {
        let mut state = lock(&self.state);
        self.purge(&mut state);
        state
            .events
            .range(position + 1..)
            .take(limit)
            .map(|(_, stored)| stored.clone())
            .collect()
    }

    /// The event at or before a position.
    pub(super) fn before(&self, position: u64) -> Option<Stored> {
        let state = lock(&self.state);
        state
            .events
            .range(..=position)
            .next_back()
            .map(|(_, stored)| stored.clone())
    }

    /// The position after which a stream starts to deliver.
    pub(super) fn start(&self, request: &FetchRequest, rpc_id: &str) -> Result<u64, Status> {
        let bad = |suffix: &str, message: &str| {
            Err(status(
                Code::InvalidArgument,
                suffix,
                message,
                "Subscribe",
                rpc_id,
            ))
        };
        let mut state = lock(&self.state);
        self.purge(&mut state);
        match ReplayPreset::try_from(request.replay_preset) {
            Ok(ReplayPreset::Latest) => Ok(state.position),
            Ok(ReplayPreset::Earliest) => Ok(0),
            Ok(ReplayPreset::Custom) if request.replay_id.is_empty() => bad(
                "subscription.fetch.replayid.validation.failed",
                "Replay ID is required when the replay preset is CUSTOM",
            ),
            Ok(ReplayPreset::Custom) => match replay::decode(&request.replay_id) {
                Some(position) if state.issued.contains_key(&position) => Ok(position),
                _ => bad(
                    "subscription.fetch.replayid.corrupted",
                    "The Replay ID validation failed. Ensure that the Replay ID is valid",
                ),
            },
            Err(_) => bad(
                "subscription.fetch.request.invalid",
                "Unknown replay preset",
            ),
        }
    }

    /// Simulates a new org with the same name: positions start over and old ids are invalid.
    pub(crate) fn reset(&self) {
        {
            let mut state = lock(&self.state);
            state.epoch += 1;
            state.position = 1_000 * state.epoch;
            state.events.clear();
            let position = state.position;
            state.issued = BTreeMap::from([(position, self.clock.now())]);
        }
        self.fault_now(StreamFaultKind::Status {
            code: "UNAVAILABLE".to_owned(),
            error_code: String::new(),
        });
    }

    /// Applies a fault to every open stream.
    pub(crate) fn fault_now(&self, kind: StreamFaultKind) {
        // Without open streams there is no receiver.
        let _ = self.instant_faults.send(kind);
    }

    pub(crate) fn add_stream_fault(&self, fault: StreamFault) {
        lock(&self.stream_faults).push(fault);
    }

    /// The faults of a new stream.
    pub(super) fn faults_of_stream(&self) -> Vec<StreamFault> {
        let mut faults = lock(&self.stream_faults);
        let mine = faults.clone();
        for fault in faults.iter_mut() {
            fault.streams = fault.streams.saturating_sub(1);
        }
        faults.retain(|fault| fault.streams > 0);
        mine
    }

    pub(crate) fn add_unary_fault(&self, fault: UnaryFault) {
        self.unary_faults.add(fault.when, fault);
    }

    pub(super) fn unary_fault(&self, rpc: &str) -> Option<UnaryFault> {
        self.unary_faults
            .pick(&self.rng, |fault| fault.rpc.eq_ignore_ascii_case(rpc))
    }

    pub(crate) fn clear_faults(&self) {
        lock(&self.stream_faults).clear();
        self.unary_faults.clear();
    }

    /// Counts a delivery against the allocation; returns false once it is used up.
    pub(super) fn may_deliver(&self) -> bool {
        let delivered = self.counters.delivered.load(Ordering::SeqCst);
        let state = lock(&self.state);
        state
            .options
            .delivery_allocation
            .is_none_or(|limit| delivered - state.allocation_from < limit)
    }

    /// Starts a new day of deliveries.
    pub(crate) fn renew_allocation(&self) {
        lock(&self.state).allocation_from = self.counters.delivered.load(Ordering::SeqCst);
    }

    /// Deliveries counted against the allocation, and the allocation.
    pub(crate) fn allocation(&self) -> (u64, u64) {
        let delivered = self.counters.delivered.load(Ordering::SeqCst);
        let state = lock(&self.state);
        (
            delivered - state.allocation_from,
            state.options.delivery_allocation.unwrap_or(50_000),
        )
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of a text that [`hex`] made.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
