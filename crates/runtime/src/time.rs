//! Formatting of timestamps.

use domain::time::Timestamp;

/// `2026-11-24T01:51:16.000Z`.
#[must_use]
pub fn rfc3339(at: Timestamp) -> String {
    jiff::Timestamp::from_millisecond(at.as_millis())
        .map(|time| format!("{time:.3}"))
        .unwrap_or_default()
}
