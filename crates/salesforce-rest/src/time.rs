//! Salesforce's time, taken from its answers.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use domain::time::Timestamp;
use reqwest::header::{DATE, HeaderMap};
use tokio::time::Instant;

/// Salesforce's clock: the `Date` of its last answer plus the time elapsed since. This machine's
/// clock may be off by any amount and is only used before the first answer.
#[derive(Debug, Default)]
pub(crate) struct CrmTime(Mutex<Option<(Timestamp, Instant)>>);

impl CrmTime {
    /// Records an answer's `Date`.
    pub(crate) fn note(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|value| value.to_str().ok());
        let Some(date) = date.and_then(|text| httpdate::parse_http_date(text).ok()) else {
            return;
        };
        let recorded = (millis(date), Instant::now());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(recorded);
    }

    /// The time `age` ago by Salesforce's clock. Up to a second early, since `Date` has no
    /// fractions.
    pub(crate) fn before(&self, age: Duration) -> Timestamp {
        let recorded = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = match recorded {
            Some((date, at)) => date + at.elapsed(),
            None => millis(SystemTime::now()),
        };
        now - age
    }
}

fn millis(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::default() + since.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn time_continues_from_last_date() {
        let time = CrmTime::default();
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "not a date".parse().expect("it is ASCII"));
        time.note(&headers);
        let local = millis(SystemTime::now());
        let hour = Duration::from_secs(3600);
        assert!(
            local.since(time.before(hour)) <= hour,
            "this machine's clock"
        );
        let date = "Thu, 01 Jan 2026 00:10:00 GMT";
        headers.insert(DATE, date.parse().expect("it is ASCII"));
        time.note(&headers);
        tokio::time::advance(Duration::from_secs(5)).await;
        let before = time.before(Duration::from_secs(605));
        assert_eq!(before, Timestamp::from_millis(1_767_225_600_000));
    }
}
