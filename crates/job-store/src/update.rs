//! An update of a leased job, as the values that both engines bind.

use domain::job::JobOutcome;
use domain::order::Fact;
use domain::ports::{JobChange, JobUpdate};

use crate::damage::storable;
use crate::store::Commit;

/// The new values of a job's row.
pub(crate) struct JobValues {
    /// `leased` while its worker keeps it, `queued`, or the outcome.
    pub(crate) state: &'static str,
    /// How long until it is due again, in milliseconds; for `queued`.
    pub(crate) due_after: i64,
    /// Added to the number of deferrals; for `queued`.
    pub(crate) deferrals: i64,
    /// Why it was set aside.
    pub(crate) set_aside: Option<String>,
    /// The outcome, if it ended.
    pub(crate) outcome: Option<JobOutcome>,
    /// What the worker needs of the commit before it continues.
    pub(crate) commit: Commit,
}

impl JobValues {
    /// Whether its worker keeps it.
    pub(crate) fn is_kept(&self) -> bool {
        self.state == "leased"
    }

    /// Whether any worker may take the job at once.
    pub(crate) fn is_due_now(&self) -> bool {
        self.state == "queued" && self.due_after == 0
    }

    pub(crate) fn of(update: &JobUpdate) -> Self {
        let values = Self {
            state: "leased",
            due_after: 0,
            deferrals: 0,
            set_aside: None,
            outcome: None,
            commit: match update.facts.iter().any(Fact::is_flushed) {
                true => Commit::Flushed,
                false => Commit::Relaxed,
            },
        };
        match &update.change {
            JobChange::Keep => values,
            JobChange::Release(release) => Self {
                state: "queued",
                due_after: i64::try_from(release.after.as_millis()).unwrap_or(i64::MAX),
                deferrals: i64::from(release.deferral),
                commit: match release.after.is_zero() {
                    true => Commit::Announced,
                    false => values.commit,
                },
                ..values
            },
            JobChange::Finish(outcome) => Self {
                state: outcome.name(),
                outcome: Some(*outcome),
                // Another job of the order is due now.
                commit: Commit::Announced,
                ..values
            },
            JobChange::SetAside { cause } => Self {
                state: JobOutcome::Failed.name(),
                outcome: Some(JobOutcome::Failed),
                set_aside: Some(storable(cause)),
                // Another job of the order is due now.
                commit: Commit::Announced,
                ..values
            },
        }
    }
}
