//! A clock that tests can advance; retention and token expiry use it.
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

/// Real time, with an error of the clock and with time that tests let pass.
#[derive(Debug, Default)]
pub(crate) struct SkewedClock {
    offset_ms: AtomicI64,
    passed_ms: AtomicI64,
}

fn after(ms: i64) -> Timestamp {
    Timestamp::now()
        .checked_add(SignedDuration::from_millis(ms))
        .unwrap_or(Timestamp::MAX)
}

impl SkewedClock {
    /// The current time.
    pub(crate) fn now(&self) -> Timestamp {
        let passed = self.passed_ms.load(Ordering::SeqCst);
        after(passed.saturating_add(self.offset_ms.load(Ordering::SeqCst)))
    }

    /// The time without what tests let pass, which clients do not notice: logins are compared with
    /// it, and answers are dated with it.
    pub(crate) fn wall(&self) -> Timestamp {
        after(self.offset_ms.load(Ordering::SeqCst))
    }

    /// Lets time pass; negative seconds take it back.
    pub(crate) fn pass_seconds(&self, seconds: i64) {
        self.passed_ms
            .fetch_add(seconds.saturating_mul(1000), Ordering::SeqCst);
    }

    /// The milliseconds that tests let pass.
    pub(crate) fn passed_ms(&self) -> i64 {
        self.passed_ms.load(Ordering::SeqCst)
    }

    /// Sets the milliseconds that tests let pass.
    pub(crate) fn set_passed_ms(&self, ms: i64) {
        self.passed_ms.store(ms, Ordering::SeqCst);
    }

    /// Moves the clock; negative seconds move it back.
    pub(crate) fn advance_seconds(&self, seconds: i64) {
        self.offset_ms
            .fetch_add(seconds.saturating_mul(1000), Ordering::SeqCst);
    }
}

/// Salesforce's datetime format with whole seconds: `2026-11-24T01:51:16.000+0000`.
pub(crate) fn salesforce_datetime(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string()
}

/// Parses a datetime with `Z`, `+00:00` or `+0000`.
pub(crate) fn parse_datetime(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let bare_offset = bytes.len() > 5
        && matches!(bytes[bytes.len() - 5], b'+' | b'-')
        && bytes[bytes.len() - 4..].iter().all(u8::is_ascii_digit)
        && text.contains('T');
    if bare_offset {
        let (head, tail) = text.split_at(text.len() - 2);
        format!("{head}:{tail}").parse().ok()
    } else {
        text.parse().ok()
    }
}
