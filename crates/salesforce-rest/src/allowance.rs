//! The remaining daily API calls.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::ports::ReportedAllowance;
use reqwest::header::HeaderMap;
use tokio::time::Instant;

/// How long a value is used; then one call may refresh it.
const BELIEVED: Duration = Duration::from_secs(3600);

/// The last value reported by Salesforce.
#[derive(Debug, Default)]
pub(crate) struct Allowance(Mutex<Option<(ReportedAllowance, Instant)>>);

impl Allowance {
    /// Records an answer's `Sforce-Limit-Info`.
    pub(crate) fn note(&self, headers: &HeaderMap) {
        let info = headers
            .get("Sforce-Limit-Info")
            .and_then(|value| value.to_str().ok())
            .and_then(parse);
        let Some(info) = info else {
            return;
        };
        metrics::gauge!("orderbridge_salesforce_api_remaining_ratio", "limit" => "daily")
            .set(remaining_ratio(info));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((info, Instant::now()));
    }

    /// The last value, unless it is too old.
    pub(crate) fn reported(&self) -> Option<ReportedAllowance> {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (info, at) = last?;
        (at.elapsed() < BELIEVED).then_some(info)
    }

    /// The remaining share, from 0 to 1, when it is so low that it is reserved for running jobs.
    pub(crate) fn scarce(&self) -> Option<f64> {
        let reported = self.reported();
        reported
            .filter(ReportedAllowance::is_low)
            .map(remaining_ratio)
    }
}

/// Parses `api-usage=18/5000; per-app-api-usage=…`.
fn parse(info: &str) -> Option<ReportedAllowance> {
    let (used, limit) = info
        .split(';')
        .find_map(|part| part.trim().strip_prefix("api-usage="))?
        .split_once('/')?;
    let (used, limit) = (used.trim().parse().ok()?, limit.trim().parse().ok()?);
    (limit > 0).then_some(ReportedAllowance { used, limit })
}

fn remaining_ratio(info: ReportedAllowance) -> f64 {
    info.limit.saturating_sub(info.used) as f64 / info.limit as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remaining_calls_are_parsed_from_header() {
        let info = parse("api-usage=50/200; per-app-api-usage=17/250(appName=x)").unwrap();
        assert_eq!((info.used, info.limit), (50, 200));
        assert_eq!(remaining_ratio(info), 0.75);
        for text in ["per-app-api-usage=17/250", "api-usage=a/b", "api-usage=1/0"] {
            assert_eq!(parse(text), None, "{text}");
        }
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
