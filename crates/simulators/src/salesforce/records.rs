//! Records of the org.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::history::Write;
use super::shape::{self, Kind, Object};

/// A record: its object and fields, including `Id`.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) object: &'static Object,
    pub(crate) fields: Map<String, Value>,
}

impl Record {
    /// A field's value; null if never set.
    pub(crate) fn get(&self, field: &str) -> &Value {
        self.fields.get(field).unwrap_or(&Value::Null)
    }

    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.get(field).as_str()
    }

    pub(crate) fn id(&self) -> &str {
        self.text("Id").unwrap_or_default()
    }

    /// What [`Records::having`] finds the record by.
    fn keys(&self) -> impl Iterator<Item = Key> {
        let fields = self.object.fields.iter().filter(|field| {
            let is_found_by = field.external_id || matches!(field.kind, Kind::Reference(..));
            is_found_by && !self.get(field.name).is_null()
        });
        fields.map(|field| key(self.object, field.name, self.get(field.name)))
    }
}

/// Object, field and value.
type Key = (&'static str, &'static str, String);

fn key(object: &Object, field: &'static str, value: &Value) -> Key {
    (object.name, field, value.to_string())
}

/// All records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    rows: BTreeMap<String, Record>,
    /// The ids of the records that have these references and external ids.
    ids: HashMap<Key, BTreeSet<String>>,
    /// Deleted rows, as they were.
    pub(super) deleted: BTreeMap<String, Record>,
    pub(super) minted: u64,
    pub(super) numbers: u64,
    pub(crate) attempts: BTreeMap<String, u64>,
    pub(super) history: BTreeMap<String, Vec<Write>>,
}

impl Records {
    pub(crate) fn get(&self, id: &str) -> Option<&Record> {
        self.rows.get(id)
    }

    pub(crate) fn is_deleted(&self, id: &str) -> bool {
        self.deleted.contains_key(id)
    }

    /// All records.
    pub(super) fn all(&self) -> impl Iterator<Item = &Record> {
        self.rows.values()
    }

    /// The records of an object, in order of creation.
    pub(crate) fn of<'a>(&'a self, object: &'a Object) -> impl Iterator<Item = &'a Record> {
        self.rows
            .range(object.prefix.to_owned()..)
            .take_while(|(id, _)| id.starts_with(object.prefix))
            .map(|(_, record)| record)
    }

    /// The records of an object whose reference or external id has this value, in order of
    /// creation.
    pub(crate) fn having(
        &self,
        object: &Object,
        field: &'static str,
        value: &Value,
    ) -> impl Iterator<Item = &Record> {
        let ids = self.ids.get(&key(object, field, value));
        ids.into_iter().flatten().filter_map(|id| self.get(id))
    }

    /// The items of an order.
    pub(super) fn items_of(&self, order: &str) -> impl Iterator<Item = &Record> {
        let (items, order) = (shape::object("OrderItem"), Value::from(order));
        items
            .into_iter()
            .flat_map(move |items| self.having(items, "OrderId", &order).collect::<Vec<_>>())
    }

    /// Inserts or replaces a record.
    pub(super) fn put(&mut self, id: String, record: Record) {
        self.remove(&id);
        for key in record.keys() {
            self.ids.entry(key).or_default().insert(id.clone());
        }
        self.rows.insert(id, record);
    }

    /// Removes a record.
    pub(super) fn remove(&mut self, id: &str) -> Option<Record> {
        let record = self.rows.remove(id)?;
        for key in record.keys() {
            if let Some(ids) = self.ids.get_mut(&key) {
                ids.remove(id);
            }
        }
        Some(record)
    }

    /// The deleted records of an object.
    pub(crate) fn deleted_of<'a>(&'a self, object: &'a Object) -> impl Iterator<Item = &'a Record> {
        let all = self.deleted.values();
        all.filter(|record| record.object.name == object.name)
    }

    pub(crate) fn history(&self, id: &str) -> Vec<Write> {
        self.history.get(id).cloned().unwrap_or_default()
    }

    /// Inserts a record that the platform owns, without validation.
    pub(crate) fn insert_platform(
        &mut self,
        object: &'static Object,
        id: String,
        fields: Map<String, Value>,
    ) {
        let mut fields = fields;
        fields.insert("Id".to_owned(), Value::from(id.clone()));
        self.put(id, Record { object, fields });
    }
}
