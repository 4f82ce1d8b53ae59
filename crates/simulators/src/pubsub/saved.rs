//! The state of the bus, for a snapshot, and what lists show of it.
use std::{collections::BTreeMap, time::Instant};

use apache_avro::{Schema, reader::datum::GenericDatumReader, types::Value as Avro};
use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    Bus, EventField, EventSchema, StreamFault, StreamFaultKind, UnaryFault,
    bus::{Stored, hex},
    replay,
    wire::ProducerEvent,
};
use crate::lock;

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedEvent {
    position: u64,
    at: String,
    id: String,
    schema_id: String,
    /// Base64.
    payload: String,
}

/// The state of the bus.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SavedBus {
    position: u64,
    epoch: u64,
    issued: BTreeMap<u64, String>,
    events: Vec<SavedEvent>,
    /// The custom fields of every schema, oldest first.
    schemas: Vec<Vec<EventField>>,
    /// Committed replay ids of managed subscriptions, in hex.
    committed: BTreeMap<String, String>,
}

fn time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a valid time of an event"))
}

impl Bus {
    pub(crate) fn save(&self) -> SavedBus {
        let committed = lock(&self.managed)
            .iter()
            .filter_map(|(name, state)| Some((name.clone(), state.committed.clone()?)))
            .collect();
        let state = lock(&self.state);
        let event = |stored: &Stored| SavedEvent {
            position: stored.position,
            at: stored.at.to_string(),
            id: stored.event.id.clone(),
            schema_id: stored.event.schema_id.clone(),
            payload: STANDARD.encode(&stored.event.payload),
        };
        let issued = state.issued.iter();
        SavedBus {
            position: state.position,
            epoch: state.epoch,
            issued: issued.map(|(at, time)| (*at, time.to_string())).collect(),
            events: state.events.values().map(event).collect(),
            schemas: state.schemas.iter().map(|one| one.fields.clone()).collect(),
            committed,
        }
    }

    /// Puts the state back, or with `fresh` only the schemas, and ends every stream.
    pub(crate) fn load(&self, saved: SavedBus, fresh: bool) -> Result<(), String> {
        let mut events = BTreeMap::new();
        for event in saved.events {
            let payload = STANDARD
                .decode(&event.payload)
                .map_err(|_| format!("the payload of event {} is not valid base64", event.id))?;
            let stored = Stored {
                position: event.position,
                arrived: Instant::now(),
                at: time(&event.at)?,
                event: ProducerEvent {
                    id: event.id,
                    schema_id: event.schema_id,
                    payload,
                    headers: Vec::new(),
                },
            };
            events.insert(stored.position, stored);
        }
        let issued = saved.issued.into_iter();
        let issued = issued.map(|(at, text)| Ok((at, time(&text)?)));
        let issued = issued.collect::<Result<BTreeMap<_, _>, String>>()?;
        {
            let mut state = lock(&self.state);
            let schemas = saved.schemas.iter();
            let schemas: Vec<_> = schemas
                .map(|fields| EventSchema::new(&state.options.event, fields))
                .collect();
            if schemas.is_empty() {
                return Err("the snapshot has no event schema".to_owned());
            }
            state.schemas = schemas;
            if !fresh {
                state.position = saved.position;
                state.epoch = saved.epoch;
                state.events = events;
                state.issued = issued;
            }
        }
        lock(&self.managed).clear();
        if fresh {
            self.reset();
            return Ok(());
        }
        for (name, replay_id) in &saved.committed {
            self.set_managed_position(name, Some(replay_id));
        }
        self.fault_now(StreamFaultKind::Status {
            code: "UNAVAILABLE".to_owned(),
            error_code: String::new(),
        });
        Ok(())
    }

    pub(crate) fn stream_faults(&self) -> Vec<StreamFault> {
        lock(&self.stream_faults).clone()
    }

    pub(crate) fn unary_faults(&self) -> Vec<(UnaryFault, u64)> {
        self.unary_faults.list()
    }

    /// The newest events, oldest first, with their fields where the payload can be decoded.
    pub(crate) fn newest(&self, limit: usize) -> Vec<Value> {
        let (events, schemas) = {
            let state = lock(&self.state);
            let events: Vec<Stored> = state.events.values().rev().take(limit).cloned().collect();
            (events, state.schemas.clone())
        };
        let shown = events.iter().rev().map(|stored| {
            let event = &stored.event;
            let schema = schemas.iter().find(|one| one.id == event.schema_id);
            json!({
                "event_id": event.id, "at": stored.at.to_string(), "schema_id": event.schema_id,
                "replay_id": hex(&replay::encode(stored.position)),
                "bytes": event.payload.len(),
                "fields": schema.and_then(|schema| decode(schema, &event.payload)),
            })
        });
        shown.collect()
    }
}

/// The fields of a payload; `None` if it is not one of this schema.
fn decode(schema: &EventSchema, mut payload: &[u8]) -> Option<Value> {
    let schema = Schema::parse_str(&schema.json).ok()?;
    let reader = GenericDatumReader::builder(&schema).build().ok()?;
    let Avro::Record(fields) = reader.read_value(&mut payload).ok()? else {
        return None;
    };
    let fields: Map<String, Value> = fields
        .into_iter()
        .map(|(name, value)| Some((name, Value::try_from(value).ok()?)))
        .collect::<Option<_>>()?;
    payload.is_empty().then_some(Value::Object(fields))
}
