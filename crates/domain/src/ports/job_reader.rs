//! Read access to the store, for operators, customers and monitoring.

use std::time::Duration;

use async_trait::async_trait;

use crate::id::OrderId;
use crate::job::{JobOutcome, NewJob};
use crate::key::{Channel, JobId, Owner};
use crate::order::{Fact, OrderState, next};
use crate::ports::{
    Alert, AttemptStats, AuditEntry, CallStats, Cursor, CursorHistoryEntry, DeadLetterView, Epoch,
    FinishedJob, GapView, JobStage, OrderQuery, OrderRow, Pause, ProcessView, RecordedCall,
    StoreError, StuckOrders, UnreadableJobs,
};
use crate::time::Timestamp;

/// The current state of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// The job.
    pub job: NewJob,
    /// `queued`, `leased`, or its outcome.
    pub state: &'static str,
    /// Its outcome; `None` while it is live.
    pub outcome: Option<JobOutcome>,
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// While it is queued: when it may be claimed.
    pub due_at: Option<Timestamp>,
    /// When it was first claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What an order waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What happens next, in a few words: `next search`, `next read-back`, `next try`.
    pub what: &'static str,
    /// When, by the store's clock.
    pub until: Timestamp,
}

impl Wait {
    /// The wait of an order of which a started job was released. Takes its jobs and its facts,
    /// oldest first.
    #[must_use]
    pub fn of(jobs: &[JobView], facts: &[RecordedFact]) -> Option<Self> {
        let waiting = jobs
            .iter()
            .find(|view| view.state == "queued" && view.started_at.is_some())?;
        let state = OrderState::replay(facts.iter().map(|recorded| &recorded.fact)).ok()?;
        Some(Self {
            what: next(&state, &waiting.job.id).wait_description(),
            until: waiting.due_at?,
        })
    }
}

/// A fact with its place in the order's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFact {
    /// When it was recorded.
    pub at: Timestamp,
    /// By which job.
    pub job: JobId,
    /// The fact.
    pub fact: Fact,
}

/// Counts of jobs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Jobs in each state, by name.
    pub jobs: Vec<(&'static str, u64)>,
    /// When the oldest job that is due became due.
    pub oldest_due: Option<Timestamp>,
    /// Open dead letters.
    pub open_dead_letters: u64,
}

impl QueueStats {
    /// The number of jobs in a state.
    #[must_use]
    pub fn count(&self, state: &str) -> u64 {
        self.jobs
            .iter()
            .find(|(name, _)| *name == state)
            .map_or(0, |(_, count)| *count)
    }
}

/// The state of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamView {
    /// The stored cursor.
    pub cursor: Option<Cursor>,
    /// Who leads, in which term, and until when.
    pub leader: Option<(Owner, Epoch, Timestamp)>,
    /// When Salesforce created the newest accepted event.
    pub last_event_at: Option<Timestamp>,
}

/// Read access to the store.
#[async_trait]
pub trait JobReader: Send + Sync {
    /// The order's jobs, oldest first. Here and in the lists, unreadable rows are logged and
    /// omitted.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn jobs_of(&self, order: OrderId) -> Result<Vec<JobView>, StoreError>;

    /// The order's facts, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn facts_of(&self, order: OrderId) -> Result<Vec<RecordedFact>, StoreError>;

    /// The calls of the order's jobs, in sequence within each job: up to
    /// [`CallRecord::MAX_KEPT`](crate::ports::CallRecord::KEPT) per job, and none of pruned jobs.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn calls_of(&self, order: OrderId) -> Result<Vec<RecordedCall>, StoreError>;

    /// Open dead letters.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open_dead_letters(&self) -> Result<u64, StoreError>;

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

    /// Counts of jobs and dead letters, and ages. Its cost does not grow with the number of
    /// finished jobs.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn queue_stats(&self) -> Result<QueueStats, StoreError>;

    /// The state of a channel.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn stream(&self, channel: &Channel) -> Result<StreamView, StoreError>;

    /// The history of the channel's cursor, newest first: sampled as it moves, and whenever the
    /// leader changed, an operator changed it, or it was lost.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn cursor_history(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<CursorHistoryEntry>, StoreError>;

    /// A job.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn job(&self, job: &JobId) -> Result<Option<JobView>, StoreError>;

    /// Jobs, newest first, starting after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn jobs(
        &self,
        stage: Option<JobStage>,
        after: Option<&JobId>,
        limit: usize,
    ) -> Result<Vec<JobView>, StoreError>;

    /// Orders, latest activity first. An order that changes between two pages may appear on both.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn orders(&self, query: &OrderQuery) -> Result<Vec<OrderRow>, StoreError>;

    /// Dead letters, newest first, starting after the number `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn dead_letters(
        &self,
        open_only: bool,
        after: Option<i64>,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError>;

    /// Gaps, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn gaps(&self, limit: usize) -> Result<Vec<GapView>, StoreError>;

    /// The audit log, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;

    /// Jobs that finished after `since`, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn finished_jobs(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<FinishedJob>, StoreError>;

    /// The active pauses.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError>;

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

    /// The process registry, by role and start time.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn processes(&self) -> Result<Vec<ProcessView>, StoreError>;

    /// Every stored alert, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn alerts(&self) -> Result<Vec<Alert>, StoreError>;

    /// Checks that the store answers and has our schema version; for readiness.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ping(&self) -> Result<(), StoreError>;
}
