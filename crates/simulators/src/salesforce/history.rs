//! Who wrote what to a record, and which calls arrived.
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};

/// On whose behalf a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// Over REST.
    Api,
    /// The built-in Flow, inside another write.
    Flow,
    /// A person in Salesforce, that is a test or the control API.
    Operator,
}

/// One write to one record.
#[derive(Debug, Clone, Serialize)]
pub struct Write {
    /// Real time of the commit.
    #[serde(serialize_with = "crate::as_text")]
    pub at: Timestamp,
    /// Monotonic time of the commit, to measure with.
    #[serde(skip)]
    pub instant: std::time::Instant,
    /// Who wrote.
    pub author: Author,
    /// The fields as they were written, also those that did not change.
    pub fields: Map<String, Value>,
}

impl Write {
    /// The text value this write gave a field.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }
}

/// One HTTP call.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Real time of its arrival.
    #[serde(serialize_with = "crate::as_text")]
    pub at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Route kind, the one faults name.
    pub route: String,
    /// Path with ids replaced by `{id}`.
    pub path: String,
    /// Status answered; 0 when the connection was dropped.
    pub status: u16,
}
