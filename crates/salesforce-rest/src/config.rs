//! What the adapter needs to know.

use std::time::Duration;

use crate::FieldNames;

/// Settings of the REST adapter.
#[derive(Clone, Debug)]
pub struct RestConfig {
    /// REST version, such as `66.0`.
    pub api_version: String,
    /// Names of fields and statuses.
    pub fields: FieldNames,
    /// Whether the bill-to contact is read: personal data that is only needed where clients
    /// may be created.
    pub bill_to: bool,
    /// The longest time for one call.
    pub timeout: Duration,
    /// The first wait after a locked row; doubled each time.
    pub lock_backoff: Duration,
}

impl RestConfig {
    /// Settings with the contract's names.
    pub fn new(api_version: impl Into<String>) -> Self {
        Self {
            api_version: api_version.into(),
            fields: FieldNames::default(),
            bill_to: false,
            timeout: Duration::from_secs(60),
            lock_backoff: Duration::from_secs(2),
        }
    }
}
