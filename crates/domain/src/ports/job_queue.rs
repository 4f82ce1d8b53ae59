//! The store, for the worker.

use std::time::Duration;

use async_trait::async_trait;

use crate::job::{JobOutcome, Lease, NewJob};
use crate::key::Owner;
use crate::order::{Fact, MarkerProof};
use crate::ports::{CallRecord, StoreError};
use crate::time::Timestamp;

/// A claimed job, with every fact of its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The right to work on it.
    pub lease: Lease,
    /// The job.
    pub job: NewJob,
    /// When it was claimed, by the store's clock. Recorded times count from here, so that they mean
    /// the same on whichever machine continues.
    pub at: Timestamp,
    /// When it was enqueued, by the store's clock.
    pub enqueued_at: Timestamp,
    /// How often it was released in a row without a new fact.
    pub deferrals: u32,
    /// Every fact of the order, oldest first, of this and of earlier attempts.
    pub facts: Vec<Fact>,
    /// The orders that prove that WHMCS keeps our marker; `None` when there is no proof, or when
    /// the newest order that was read back had lost it.
    pub marker_proof: Option<MarkerProof>,
}

/// Why and for how long a job is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// The delay before it is due again, by the store's clock.
    pub after: Duration,
    /// Whether it counts as a deferral (a backoff) or not (a planned wait).
    pub deferral: bool,
}

/// What becomes of a job with an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobChange {
    /// Its worker keeps it; it is not deferred any more.
    Keep,
    /// It is due again later, for any worker.
    Release(Release),
    /// It is finished.
    Finish(JobOutcome),
    /// The facts of its order cannot be replayed: it ends `failed`, and
    /// `operations::Statistics::unreadable_jobs` reports it.
    SetAside {
        /// Why, with the whole error chain.
        cause: String,
    },
}

/// What one commit under a lease writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobUpdate {
    /// How many facts of the order its worker knows, without those of this update; `None`: not
    /// compared. When the store has others, nothing is written: a database server that crashed may
    /// have forgotten facts that were not flushed. When the store has these and the update's own, and
    /// the job is kept, the update was applied before and its answer was lost: it counts once.
    pub known: Option<usize>,
    /// New facts of the order, in order.
    pub facts: Vec<Fact>,
    /// The calls since the last commit. They are informational: a record lost in a crash before this
    /// commit is missing in the timeline only. A job keeps its newest [`CallRecord::MAX_KEPT`].
    pub calls: Vec<CallRecord>,
    /// What becomes of the job.
    pub change: JobChange,
}

/// The worker's view of the store.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Claims up to `limit` due jobs, the longest due first, each with a new lease token and a
    /// lease of `ttl` by the store's clock. Jobs with an expired lease are due. Never claims a job
    /// of an order that has another leased job, nor two jobs of one order. Claims none while an
    /// operator has paused the workers (`operations::Pausable::Worker`).
    ///
    /// An unreadable job, or one whose order has an unreadable fact, is set aside in the same
    /// commit: it ends `failed`, its order is listed with `INTERNAL`, no fact is recorded, and
    /// `operations::Statistics::unreadable_jobs` reports it. The other jobs are
    /// claimed as usual.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError>;

    /// Extends the leases to `ttl` from now; returns those that were lost. An expired lease is
    /// lost, even if no other worker has claimed the job.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the leases are not extended.
    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError>;

    /// Applies an update in one commit that compares the lease token. The commit is on disk when this
    /// returns if a fact of it must be ([`Fact::is_flushed`]) or it ends the job; a power cut may
    /// forget another, but none that was followed by a flushed one.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]: nothing was written, the job is not ours any more, or its facts are
    /// not the known ones; stop.
    async fn update(&self, lease: &Lease, update: &JobUpdate) -> Result<(), StoreError>;

    /// Returns when a job may have become due, at the latest after `limit`. May return early; the
    /// caller then tries to claim.
    async fn wait_for_work(&self, limit: Duration);
}
