//! What the overview says, from what the store holds.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::failure::{Code, Entry};
use domain::job::JobOutcome;
use domain::ports::{BUS_RETENTION, FinishedJob, OrderRow, StreamView};
use domain::time::Timestamp;

const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Rates and latencies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Attempts of the last 15 minutes that succeeded and that failed.
    pub(crate) recent: (usize, usize),
    /// Approval to write-back of the last day's successes.
    pub(crate) p50: Option<Duration>,
    pub(crate) p95: Option<Duration>,
    /// Failures of the last day that WHMCS has to do with.
    pub(crate) whmcs_errors: usize,
}

impl Numbers {
    pub(crate) fn of(finished_jobs: &[FinishedJob], now: Timestamp) -> Self {
        let count = |wanted: JobOutcome| {
            finished_jobs
                .iter()
                .filter(|view| view.outcome == wanted && now.since(view.ended_at) < WINDOW)
                .count()
        };
        let succeeded = finished_jobs
            .iter()
            .filter(|view| view.outcome == JobOutcome::Succeeded);
        let mut took: Vec<_> = succeeded
            .map(|view| view.ended_at.since(view.requested_at))
            .collect();
        took.sort_unstable();
        let at =
            |share: usize| took.get((took.len() * share / 100).min(took.len().saturating_sub(1)));
        let of_whmcs = |code: &Code| code.as_str().starts_with("WHMCS_");
        Self {
            recent: (count(JobOutcome::Succeeded), count(JobOutcome::Failed)),
            p50: at(50).copied(),
            p95: at(95).copied(),
            whmcs_errors: finished_jobs
                .iter()
                .filter(|view| view.code.as_ref().is_some_and(of_whmcs))
                .count(),
        }
    }

    /// Whole per cent of the recent attempts that failed; `None` without attempts.
    pub(crate) fn failure_rate(&self) -> Option<usize> {
        let (good, bad) = self.recent;
        (bad * 100).checked_div(good + bad)
    }
}

/// How the stream stands, in words, and what is left of the replay window in hours.
pub(crate) fn stream_words(stream: &StreamView, now: Timestamp) -> (&'static str, Option<u64>) {
    let led = stream
        .leader
        .as_ref()
        .is_some_and(|(_, _, until)| *until > now);
    let left = stream.cursor.as_ref().map(|cursor| {
        BUS_RETENTION
            .saturating_sub(now.since(cursor.committed_at))
            .as_secs()
            / 3600
    });
    let words = if led {
        "Events are flowing."
    } else {
        "No subscriber is following the stream; events wait in Salesforce."
    };
    (words, left)
}

/// Failed orders of one cause.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) code: Code,
    pub(crate) entry: Entry,
    pub(crate) orders: Vec<OrderRow>,
}

/// Groups failed orders that nobody has seen to by their cause, the biggest group first.
pub(crate) fn causes(rows: Vec<OrderRow>) -> Vec<Cause> {
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
