//! Pruning.

use std::time::Duration;

use async_trait::async_trait;
use domain::ports::StoreError;

/// Minimum age for pruning: the bus may redeliver events of the last three days.
pub const MIN_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// Minimum age for pruning entries of the audit log.
pub const AUDIT_RETENTION: Duration = Duration::from_secs(400 * 24 * 3600);

/// Counts of pruned rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Finished jobs.
    pub jobs: u64,
    /// Remembered event ids.
    pub events: u64,
    /// Facts of orders for which WHMCS was never called with an effect.
    pub facts: u64,
    /// Closed dead letters.
    pub dead_letters: u64,
    /// Gaps, except the newest of each channel.
    pub gaps: u64,
    /// Entries of the audit log.
    pub audit: u64,
}

impl std::ops::AddAssign for Pruned {
    fn add_assign(&mut self, more: Self) {
        self.jobs += more.jobs;
        self.events += more.events;
        self.facts += more.facts;
        self.dead_letters += more.dead_letters;
        self.gaps += more.gaps;
        self.audit += more.audit;
    }
}

/// Deletes what is no longer needed.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Pruner: Send + Sync {
    /// Deletes, in small commits, rows older than `older_than` that are no longer needed: finished
    /// jobs with their calls, event ids, the facts of orders without a job and without a binding
    /// fact ([`Fact::binds`](domain::order::Fact::binds)), closed dead letters, gaps except the
    /// newest of each channel, and entries of the audit log. The facts of every other order are
    /// kept forever: they prove that it was already provisioned. [`MIN_RETENTION`] and, for
    /// the audit log, [`AUDIT_RETENTION`] are lower bounds. May be repeated and interrupted.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: some of it may be gone.
    async fn prune(&self, older_than: Duration) -> Result<Pruned, StoreError>;
}
