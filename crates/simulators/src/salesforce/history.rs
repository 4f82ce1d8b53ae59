//! History of writes and calls.
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Author of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// Over REST.
    Api,
    /// The built-in Flow, inside another write.
    Flow,
    /// A Salesforce user: a test or the control API.
    Operator,
}

/// One write to one record.
#[derive(Debug, Clone, Serialize)]
pub struct Write {
    /// Real time of the commit.
    #[serde(serialize_with = "crate::as_text")]
    pub at: Timestamp,
    /// Monotonic time of the commit.
    #[serde(skip)]
    pub instant: std::time::Instant,
    /// The author.
    pub author: Author,
    /// The written fields, including unchanged ones.
    pub fields: Map<String, Value>,
}

impl Write {
    /// The text value written to a field.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field).and_then(Value::as_str)
    }
}

/// One HTTP call.
#[derive(Debug, Clone, Serialize)]
pub struct Call {
    /// Real time of arrival.
    #[serde(serialize_with = "crate::as_text")]
    pub at: Timestamp,
    /// HTTP method.
    pub method: String,
    /// Route kind as used by faults.
    pub route: String,
    /// Path with ids replaced by `{id}`.
    pub path: String,
    /// Response status; 0 when the connection was dropped.
    pub status: u16,
}
