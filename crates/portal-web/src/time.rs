//! Times for people and pages.

use domain::time::Timestamp;

fn instant(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default()
}

/// `2026-11-24T01:51:16.000Z`.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    format!("{:.3}", instant(at))
}

/// `2026-11-24`, UTC.
pub(crate) fn date(at: Timestamp) -> String {
    instant(at).strftime("%Y-%m-%d").to_string()
}

/// `2026-11-24 01:51:16 UTC`.
pub(crate) fn plain(at: Timestamp) -> String {
    instant(at).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}
