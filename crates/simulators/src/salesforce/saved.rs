//! The state of the org, for a snapshot.
use std::{collections::BTreeMap, sync::atomic::Ordering, time::Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    SalesforceSim,
    history::{Author, Write},
    records::{Record, Records},
    shape,
};
use crate::{lock, pubsub::SavedBus};

/// A record by the name of its object.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedRecord {
    object: String,
    fields: Map<String, Value>,
}

impl SavedRecord {
    fn of(record: &Record) -> Self {
        Self {
            object: record.object.name.to_owned(),
            fields: record.fields.clone(),
        }
    }

    fn record(self) -> Result<(String, Record), String> {
        let object = shape::object(&self.object)
            .ok_or_else(|| format!("this sandbox has no object {}", self.object))?;
        let record = Record {
            object,
            fields: self.fields,
        };
        Ok((record.id().to_owned(), record))
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SavedWrite {
    at: String,
    author: Author,
    fields: Map<String, Value>,
}

/// The state of an org.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SavedOrg {
    rows: Vec<SavedRecord>,
    deleted: Vec<SavedRecord>,
    minted: u64,
    numbers: u64,
    attempts: BTreeMap<String, u64>,
    history: BTreeMap<String, Vec<SavedWrite>>,
    passed_ms: i64,
    bus: SavedBus,
}

impl SalesforceSim {
    pub(crate) fn save(&self) -> SavedOrg {
        let records = lock(&self.org.records);
        let write = |write: &Write| SavedWrite {
            at: write.at.to_string(),
            author: write.author,
            fields: write.fields.clone(),
        };
        let history = records.history.iter();
        let history = history.map(|(id, all)| (id.clone(), all.iter().map(write).collect()));
        SavedOrg {
            rows: records.all().map(SavedRecord::of).collect(),
            deleted: records.deleted.values().map(SavedRecord::of).collect(),
            minted: records.minted,
            numbers: records.numbers,
            attempts: records.attempts.clone(),
            history: history.collect(),
            passed_ms: self.org.clock.passed_ms(),
            bus: self.org.bus.save(),
        }
    }

    /// Puts the state back and ends every stream. `fresh` starts another bus instead, on which old
    /// replay ids are invalid, as after a refresh of the org.
    pub(crate) fn load(&self, saved: SavedOrg, fresh: bool) -> Result<(), String> {
        let all = |rows: Vec<SavedRecord>| -> Result<BTreeMap<String, Record>, String> {
            rows.into_iter().map(SavedRecord::record).collect()
        };
        let write = |write: SavedWrite| -> Result<Write, String> {
            let at: Timestamp = write
                .at
                .parse()
                .map_err(|_| format!("`{}` is not a valid time of a write", write.at))?;
            Ok(Write {
                at,
                instant: Instant::now(),
                author: write.author,
                fields: write.fields,
            })
        };
        let history = saved.history.into_iter().map(|(id, writes)| {
            let writes = writes.into_iter().map(write);
            Ok((id, writes.collect::<Result<Vec<_>, String>>()?))
        });
        let mut loaded = Records::default();
        for (id, record) in all(saved.rows)? {
            loaded.put(id, record);
        }
        loaded.deleted = all(saved.deleted)?;
        loaded.minted = saved.minted;
        loaded.numbers = saved.numbers;
        loaded.attempts = saved.attempts;
        loaded.history = history.collect::<Result<_, String>>()?;
        self.org.bus.load(saved.bus, fresh)?;
        *lock(&self.org.records) = loaded;
        self.org.clock.set_passed_ms(saved.passed_ms);
        lock(&self.org.published).clear();
        lock(&self.org.pages).clear();
        Ok(())
    }

    /// Forgets every call, for lists; the allowance of the day stays as it is.
    pub fn clear_calls(&self) {
        let mut calls = lock(&self.org.calls);
        self.org
            .earlier_calls
            .fetch_add(calls.len() as u64, Ordering::SeqCst);
        calls.clear();
    }
}
