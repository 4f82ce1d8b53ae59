//! Settings of the REST adapter.

use std::time::Duration;

use crate::FieldNames;

/// Settings of the REST adapter.
#[derive(Clone, Debug)]
pub struct RestConfig {
    /// REST version, such as `66.0`.
    pub api_version: String,
    /// Names of fields and statuses.
    pub fields: FieldNames,
    /// Whether to read the bill-to contact: personal data that is only needed if clients may be
    /// created.
    pub bill_to: bool,
    /// Timeout of one call.
    pub timeout: Duration,
    /// First delay after a locked row, doubled each time.
    pub lock_backoff: Duration,
}

impl RestConfig {
    /// Settings with the default names of the contract.
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
