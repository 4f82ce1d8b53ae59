//! The store as the worker sees it.

use std::time::Duration;

use async_trait::async_trait;

use crate::job::{JobOutcome, Lease, NewJob};
use crate::key::Owner;
use crate::order::{Fact, MarkerProof};
use crate::ports::{CallRecord, StoreError};
use crate::time::Timestamp;

/// A job in our hands, with everything known about its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claimed {
    /// The right to work on it.
    pub lease: Lease,
    /// The job.
    pub job: NewJob,
    /// When it was claimed, by the store's clock. What is recorded about the order counts
    /// from here, so that it means the same to whichever machine goes on.
    pub at: Timestamp,
    /// When it was enqueued, by the store's clock.
    pub enqueued_at: Timestamp,
    /// How often it was given back in a row without anything new being learnt.
    pub deferrals: u32,
    /// Every fact of the order, oldest first, of this and of earlier attempts.
    pub facts: Vec<Fact>,
    /// The orders that show that WHMCS keeps our marker; `None` when none was seen to, or when
    /// the newest order that was read back had lost it.
    pub marker_proof: Option<MarkerProof>,
}

/// Why and for how long a job is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Not before so much time has passed on the store's clock.
    pub after: Duration,
    /// Whether to count it as one more deferral (a backoff) or not (a planned wait).
    pub deferral: bool,
}

/// The worker's view of the store.
///
/// Calls to the outside are written in the commits of what follows them, and cost none of
/// their own. Nothing is decided by them: what is lost in a crash between a call and the next
/// commit is lost for the timeline only. A job keeps its newest [`CallRecord::MAX_KEPT`].
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Takes up to `limit` jobs that are due, the longest due first, each with a fresh fence and a
    /// lease of `ttl` by the store's clock. Jobs whose lease ran out are due. Never takes a
    /// job of an order of which another job is leased, nor two jobs of one order. Takes none while
    /// a person holds the workers back ([`Pausable::Worker`](crate::ports::Pausable)).
    ///
    /// A job that cannot be read, or whose order has a fact that cannot, is set aside in the
    /// same commit: it ends `failed`, its order is listed with `INTERNAL`, no fact is recorded,
    /// and [`JobReader::set_aside`](crate::ports::JobReader::set_aside) tells of it. The others
    /// are taken as if it were not there.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError>;

    /// Extends the leases by `ttl` from now; answers those that were lost. A lease that ran
    /// out is lost, even while nobody else has taken the job.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the leases go on running out.
    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError>;

    /// Appends facts in one flushed commit, under the fence, with the calls that led to them.
    /// The last thing before an outside effect is such a commit of its intent.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]: nothing was written; stop.
    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError>;

    /// Gives the job back, appending the last calls in the same commit.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]: it was not ours any more.
    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError>;

    /// Ends the job, appending last facts and calls in the same commit.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`]: it was not ours any more.
    async fn finish(
        &self,
        lease: &Lease,
        outcome: JobOutcome,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError>;

    /// Returns when a job may have become due, and at the latest after `limit`. May return
    /// early; the caller claims and sees.
    async fn wait(&self, limit: Duration);
}
