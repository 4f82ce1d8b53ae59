//! Entries of a timeline.

use std::time::Duration;

use domain::ports::{CallAction, CallOutcome};
use domain::time::Timestamp;

use crate::time;

/// An entry of the timeline.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    /// The wait before it.
    pub(crate) gap: Option<Duration>,
    /// What was waited for.
    pub(crate) waited_for: &'static str,
    /// The call, if it is one.
    pub(crate) call: Option<Call>,
    /// The system that it happened in.
    pub(crate) source: &'static str,
    pub(crate) text: String,
    /// CSS class: `good`, `bad`, `warn` or `plain`.
    pub(crate) tone: &'static str,
    /// Order among entries of the same millisecond.
    pub(super) rank: Rank,
}

/// Order of entries with equal times: an attempt starts, reads, records an intent, performs
/// it, records the fact, and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    Start,
    Read,
    Intent,
    Effect,
    Fact,
    End,
}

/// A call and its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) action: CallAction,
    pub(crate) outcome: CallOutcome,
    pub(crate) elapsed: Duration,
}

impl Entry {
    pub(super) fn end(&self) -> Timestamp {
        self.at + self.call.map_or(Duration::ZERO, |call| call.elapsed)
    }

    pub(crate) fn time(&self) -> String {
        time::millis(self.at)
    }

    pub(crate) fn gap_label(&self) -> String {
        let gap = self.gap.map(time::span).unwrap_or_default();
        match self.waited_for {
            "" => format!("{gap} later"),
            what => format!("waited {gap} for {what}"),
        }
    }
}
