//! The store as people see it.

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

/// A job as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// The job.
    pub job: NewJob,
    /// `queued`, `leased`, or how it ended.
    pub state: &'static str,
    /// How it ended.
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
    /// What happens then, in a few words: `next search`, `next read-back`, `next try`.
    pub what: &'static str,
    /// When, by the store's clock.
    pub until: Timestamp,
}

impl Wait {
    /// What the order waits for, if one of its jobs was begun and given back: given its jobs and
    /// its facts, oldest first.
    #[must_use]
    pub fn of(jobs: &[JobView], facts: &[RecordedFact]) -> Option<Self> {
        let waiting = jobs
            .iter()
            .find(|view| view.state == "queued" && view.started_at.is_some())?;
        let state = OrderState::replay(facts.iter().map(|recorded| &recorded.fact)).ok()?;
        Some(Self {
            what: next(&state, &waiting.job.id).after_a_wait(),
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
    /// When the oldest job that is due now became due.
    pub oldest_due: Option<Timestamp>,
    /// Dead letters that nobody has dealt with.
    pub open_dead_letters: u64,
}

impl QueueStats {
    /// How many jobs are in a state.
    #[must_use]
    pub fn count(&self, state: &str) -> u64 {
        self.jobs
            .iter()
            .find(|(name, _)| *name == state)
            .map_or(0, |(_, count)| *count)
    }
}

/// A channel as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamView {
    /// The stored position.
    pub cursor: Option<Cursor>,
    /// Who leads, in which term, and until when.
    pub leader: Option<(Owner, Epoch, Timestamp)>,
    /// When Salesforce made the newest event that was accepted.
    pub last_event_at: Option<Timestamp>,
}

/// What people may see.
#[async_trait]
pub trait JobReader: Send + Sync {
    /// The order's jobs, oldest first. Here and in the lists, what cannot be read is logged and
    /// left out: a person must see the rest.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn jobs_of(&self, order: OrderId) -> Result<Vec<JobView>, StoreError>;

    /// The order's facts, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn facts_of(&self, order: OrderId) -> Result<Vec<RecordedFact>, StoreError>;

    /// The calls that the order's jobs made, each job's in their sequence; as many of each
    /// as are kept, and none of jobs that were forgotten.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn calls_of(&self, order: OrderId) -> Result<Vec<RecordedCall>, StoreError>;

    /// Dead letters that nobody has dealt with.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open_dead_letters(&self) -> Result<u64, StoreError>;

    /// Jobs that were set aside in the `window` up to now, by the store's clock, because they
    /// could not be read.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn unreadable_jobs(&self, window: Duration) -> Result<UnreadableJobs, StoreError>;

    /// Orders with a job queued or leased that were enqueued longer than `live_for` ago and of
    /// which no fact was recorded within `idle_for`, by the store's clock.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn stuck_orders(
        &self,
        live_for: Duration,
        idle_for: Duration,
    ) -> Result<StuckOrders, StoreError>;

    /// When WHMCS was last seen to drop our marker, while that is the newest evidence and it
    /// was seen to keep it before.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn marker_lost(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Counts of jobs, ages and dead letters. Takes no longer with many jobs that have ended.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn queue_stats(&self) -> Result<QueueStats, StoreError>;

    /// How a channel stands.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn stream(&self, channel: &Channel) -> Result<StreamView, StoreError>;

    /// Where the channel's position was, newest first: sampled as it moves, and whenever the
    /// leader changed, a person moved it, or it was lost.
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

    /// Jobs, newest first, from behind `after` on.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn jobs(
        &self,
        stage: Option<JobStage>,
        after: Option<&JobId>,
        limit: usize,
    ) -> Result<Vec<JobView>, StoreError>;

    /// Orders, those with the newest activity first. An order that moves while pages are
    /// turned may be met twice, and is then newer the second time.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn orders(&self, query: &OrderQuery) -> Result<Vec<OrderRow>, StoreError>;

    /// Dead letters, newest first, from behind the number `after` on.
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

    /// What people did, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;

    /// Jobs that ended since then, the last one first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn finished_jobs(
        &self,
        since: Timestamp,
        limit: usize,
    ) -> Result<Vec<FinishedJob>, StoreError>;

    /// What is held back, and by whom.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError>;

    /// How attempts ended in the `window` up to now, by the store's clock.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn attempt_stats(&self, window: Duration) -> Result<AttemptStats, StoreError>;

    /// The calls to WHMCS that began in the `window` up to now, by the store's clock. A call is
    /// known once the commit that followed it is, and forgotten with its job; of very many the
    /// newest are counted.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn call_stats(&self, window: Duration) -> Result<CallStats, StoreError>;

    /// The processes that the store has heard of, by role and start.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn processes(&self) -> Result<Vec<ProcessView>, StoreError>;

    /// Every alert that was ever raised or may be, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn alerts(&self) -> Result<Vec<Alert>, StoreError>;

    /// Whether the store answers and is at our version; for readiness.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn ping(&self) -> Result<(), StoreError>;
}
