//! The remaining daily API calls.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// Below this share, deferrable calls are not made.
const SCARCE: f64 = 0.1;
/// How long a value is used; then one call may refresh it.
const BELIEVED: Duration = Duration::from_secs(3600);

/// The last value reported by Salesforce.
#[derive(Debug, Default)]
pub(crate) struct Allowance(Mutex<Option<(f64, Instant)>>);

impl Allowance {
    /// Records an answer's `Sforce-Limit-Info`.
    pub(crate) fn note(&self, headers: &HeaderMap) {
        let remaining = headers
            .get("Sforce-Limit-Info")
            .and_then(|value| value.to_str().ok())
            .and_then(remaining_ratio);
        let Some(ratio) = remaining else {
            return;
        };
        metrics::gauge!("orderbridge_salesforce_api_remaining_ratio", "limit" => "daily")
            .set(ratio);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((ratio, Instant::now()));
    }

    /// The remaining share, from 0 to 1, when it is so low that it is reserved for running jobs.
    pub(crate) fn scarce(&self) -> Option<f64> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (ratio, at) = last?;
        (ratio < SCARCE && at.elapsed() < BELIEVED).then_some(ratio)
    }
}

/// Parses the remaining share from `api-usage=18/5000; per-app-api-usage=…`.
fn remaining_ratio(info: &str) -> Option<f64> {
    let (used, limit) = info
        .split(';')
        .find_map(|part| part.trim().strip_prefix("api-usage="))?
        .split_once('/')?;
    let (used, limit): (f64, f64) = (used.trim().parse().ok()?, limit.trim().parse().ok()?);
    (limit > 0.0).then(|| ((limit - used) / limit).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_calls_are_parsed_from_header() {
        assert_eq!(
            remaining_ratio("api-usage=50/200; per-app-api-usage=17/250(appName=x)"),
            Some(0.75)
        );
        assert_eq!(remaining_ratio("per-app-api-usage=17/250"), None);
        assert_eq!(remaining_ratio("api-usage=a/b"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn low_allowance_expires_after_an_hour() {
        let allowance = Allowance::default();
        assert_eq!(allowance.scarce(), None);
        let mut headers = HeaderMap::new();
        headers.insert(
            "Sforce-Limit-Info",
            "api-usage=95/100".parse().expect("it is ASCII"),
        );
        allowance.note(&headers);
        assert_eq!(allowance.scarce(), Some(0.05));
        tokio::time::advance(BELIEVED).await;
        assert_eq!(allowance.scarce(), None);
    }
}
