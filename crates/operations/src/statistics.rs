//! The figures of metrics, consoles and alert rules.

use std::time::Duration;

use async_trait::async_trait;
use domain::failure::Code;
use domain::id::OrderId;
use domain::job::JobOutcome;
use domain::key::JobId;
use domain::ports::StoreError;
use domain::time::Timestamp;

use crate::JobStage;

/// Counts of jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Jobs in each stage.
    pub jobs: Vec<(JobStage, u64)>,
    /// When the oldest job that is due became due.
    pub oldest_due: Option<Timestamp>,
    /// Open dead letters.
    pub open_dead_letters: u64,
}

impl QueueStats {
    /// The number of jobs in a stage.
    #[must_use]
    pub fn count(&self, stage: JobStage) -> u64 {
        self.jobs
            .iter()
            .find(|(counted, _)| *counted == stage)
            .map_or(0, |(_, count)| *count)
    }
}

/// A finished job, for rates and latencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedJob {
    /// The job.
    pub job: JobId,
    /// Its order.
    pub order: OrderId,
    /// Its outcome.
    pub outcome: JobOutcome,
    /// Its failure code.
    pub code: Option<Code>,
    /// When it was requested, by Salesforce's clock.
    pub requested_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

/// Results of recent attempts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttemptStats {
    /// Now, by the store's clock.
    pub now: Timestamp,
    /// Attempts that succeeded.
    pub succeeded: u64,
    /// Attempts that failed. Skipped and superseded ones are not counted.
    pub failed: u64,
    /// 95th percentile of the time from request to success.
    pub p95: Option<Duration>,
    /// When the last attempt finished, regardless of window and outcome.
    pub last_end: Option<Timestamp>,
}

impl AttemptStats {
    /// Number of counted attempts.
    #[must_use]
    pub fn finished(&self) -> u64 {
        self.succeeded + self.failed
    }

    /// The share that failed, from 0 to 1; 0 without any.
    #[must_use]
    pub fn failure_ratio(&self) -> f64 {
        match self.finished() {
            0 => 0.0,
            all => self.failed as f64 / all as f64,
        }
    }
}

/// Unreadable jobs that were recently set aside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnreadableJobs {
    /// How many.
    pub jobs: u64,
    /// The order of the newest one, as stored: it may not be a valid id.
    pub order: String,
    /// What was wrong with the newest one; empty without any.
    pub cause: String,
}

/// Orders with a live job that make no progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StuckOrders {
    /// How many.
    pub orders: u64,
    /// The one enqueued first, and when, by the store's clock.
    pub oldest: Option<(OrderId, Timestamp)>,
}

/// Counts of recent calls to WHMCS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallStats {
    /// All of them, up to [`COUNTED`](Self::COUNTED).
    pub calls: u64,
    /// Those that returned an error of any class.
    pub errors: u64,
}

impl CallStats {
    /// Only the newest 10,000 calls are counted; an error ratio needs no more.
    pub const COUNTED: usize = 10_000;

    /// The share that ended in an error, from 0 to 1; 0 without any call.
    #[must_use]
    pub fn error_ratio(&self) -> f64 {
        match self.calls {
            0 => 0.0,
            all => self.errors as f64 / all as f64,
        }
    }
}

/// Figures about the queue, attempts and calls.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Statistics: Send + Sync {
    /// Counts of jobs and dead letters, and ages. Its cost does not grow with the number of
    /// finished jobs.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn queue_stats(&self) -> Result<QueueStats, StoreError>;

    /// Results of the attempts that finished within the last `window`, by the store's clock.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn attempt_stats(&self, window: Duration) -> Result<AttemptStats, StoreError>;

    /// The calls to WHMCS that began within the last `window`, by the store's clock. A call is
    /// visible once the commit that follows it is, and pruned with its job. Only the newest
    /// [`CallStats::COUNTED`] are counted.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn call_stats(&self, window: Duration) -> Result<CallStats, StoreError>;

    /// Jobs that finished after `since`, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn finished_jobs(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<FinishedJob>, StoreError>;

    /// Unreadable jobs that were set aside within the last `window`, by the store's clock.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn unreadable_jobs(&self, window: Duration) -> Result<UnreadableJobs, StoreError>;

    /// Orders with a live job that was enqueued more than `live_for` ago and without a new fact for
    /// `idle_for`, by the store's clock.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn stuck_orders(
        &self,
        live_for: Duration,
        idle_for: Duration,
    ) -> Result<StuckOrders, StoreError>;

    /// When WHMCS last dropped our marker, if that is the newest evidence and it had kept markers
    /// before.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn marker_lost(&self) -> Result<Option<Timestamp>, StoreError>;
}

/// Readiness of the store.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait StoreHealth: Send + Sync {
    /// Checks that the store answers and has our schema version; for readiness.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ping(&self) -> Result<(), StoreError>;
}
