//! Records of the org.
use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{history::Write, shape::Object};

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
}

/// All records.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(super) rows: BTreeMap<String, Record>,
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

    /// The records of an object, in order of creation.
    pub(crate) fn of<'a>(&'a self, object: &'a Object) -> impl Iterator<Item = &'a Record> {
        self.rows
            .range(object.prefix.to_owned()..)
            .map(|(_, record)| record)
            .take_while(|record| record.id().starts_with(object.prefix))
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
        self.rows.insert(id, Record { object, fields });
    }
}
