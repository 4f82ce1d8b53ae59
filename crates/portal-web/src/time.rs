//! Formatting of times.

use std::time::Duration;

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
pub(crate) fn seconds(at: Timestamp) -> String {
    instant(at).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// `2026-11-24 01:51:16.340 UTC`: for timelines.
pub(crate) fn millis(at: Timestamp) -> String {
    instant(at)
        .strftime("%Y-%m-%d %H:%M:%S.%3f UTC")
        .to_string()
}

/// `340 ms`, `4.2 s`, `3 min`, `5 h`, `2 d`.
pub(crate) fn span(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds {
        0 => format!("{} ms", length.as_millis()),
        1..=59 => format!("{:.1} s", length.as_secs_f64()),
        60..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}
