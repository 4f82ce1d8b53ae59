//! Statistics of the overview.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::failure::{Code, Entry};
use domain::job::JobOutcome;
use domain::ports::BUS_RETENTION;
use domain::time::Timestamp;
use operations::{FinishedJob, OrderRow, StreamView};

const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Rates and latencies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stats {
    /// Succeeded and failed attempts of the last 15 minutes.
    pub(super) recent: (usize, usize),
    /// Approval to write-back of the last day's succeeded attempts.
    pub(super) p50: Option<Duration>,
    pub(super) p95: Option<Duration>,
    /// Failures of the last day with a WHMCS error code.
    pub(super) whmcs_errors: usize,
}

impl Stats {
    pub(super) fn of(finished_jobs: &[FinishedJob], now: Timestamp) -> Self {
        let count = |wanted: JobOutcome| {
            finished_jobs
                .iter()
                .filter(|view| view.outcome == wanted && now.since(view.ended_at) < WINDOW)
                .count()
        };
        let succeeded = finished_jobs
            .iter()
            .filter(|view| view.outcome == JobOutcome::Succeeded);
        let mut elapsed: Vec<_> = succeeded
            .map(|view| view.ended_at.since(view.requested_at))
            .collect();
        elapsed.sort_unstable();
        let percentile = |share: usize| {
            elapsed.get((elapsed.len() * share / 100).min(elapsed.len().saturating_sub(1)))
        };
        let of_whmcs = |code: &Code| code.as_str().starts_with("WHMCS_");
        Self {
            recent: (count(JobOutcome::Succeeded), count(JobOutcome::Failed)),
            p50: percentile(50).copied(),
            p95: percentile(95).copied(),
            whmcs_errors: finished_jobs
                .iter()
                .filter(|view| view.code.as_ref().is_some_and(of_whmcs))
                .count(),
        }
    }

    /// Percentage of the recent attempts that failed; `None` without attempts.
    pub(super) fn failure_rate(&self) -> Option<usize> {
        let (succeeded, failed) = self.recent;
        (failed * 100).checked_div(succeeded + failed)
    }
}

/// The stream's status as a sentence, and the hours left of the replay window.
pub(super) fn stream_status(stream: &StreamView, now: Timestamp) -> (&'static str, Option<u64>) {
    let has_leader = stream
        .leader
        .as_ref()
        .is_some_and(|(_, _, until)| *until > now);
    let left = stream.cursor.as_ref().map(|cursor| {
        BUS_RETENTION
            .saturating_sub(now.since(cursor.committed_at))
            .as_secs()
            / 3600
    });
    let status = if has_leader {
        "Events are flowing."
    } else {
        "No subscriber is following the stream; events wait in Salesforce."
    };
    (status, left)
}

/// Failed orders of one cause.
#[derive(Clone, Debug)]
pub(super) struct Cause {
    pub(super) code: Code,
    pub(super) entry: Entry,
    pub(super) orders: Vec<OrderRow>,
}

/// Groups unacknowledged failed orders by cause, the largest group first.
pub(super) fn causes(rows: Vec<OrderRow>) -> Vec<Cause> {
    let mut groups: BTreeMap<Code, Vec<OrderRow>> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| row.handled.is_none()) {
        groups
            .entry(row.code.unwrap_or(Code::Internal))
            .or_default()
            .push(row);
    }
    let mut causes: Vec<_> = groups
        .into_iter()
        .map(|(code, orders)| Cause {
            code,
            entry: code.entry(),
            orders,
        })
        .collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.orders.len()));
    causes
}
