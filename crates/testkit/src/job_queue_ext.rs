//! Updates of a leased job, by name, for tests that do not follow what facts there are.

use async_trait::async_trait;
use domain::job::{JobOutcome, Lease};
use domain::order::Fact;
use domain::ports::{CallRecord, JobChange, JobQueue, JobUpdate, Release, StoreError};

/// The updates by name.
#[async_trait]
pub trait JobQueueExt {
    /// Records facts, with the calls that led to them, and keeps the job.
    ///
    /// # Errors
    /// See [`JobQueue::update`].
    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError>;

    /// Releases the job.
    ///
    /// # Errors
    /// See [`JobQueue::update`].
    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError>;

    /// Finishes the job with its last facts and calls.
    ///
    /// # Errors
    /// See [`JobQueue::update`].
    async fn finish(
        &self,
        lease: &Lease,
        outcome: JobOutcome,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError>;
}

#[async_trait]
impl<Q: JobQueue + ?Sized> JobQueueExt for Q {
    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let update = JobUpdate {
            known: None,
            facts: facts.to_vec(),
            calls: calls.to_vec(),
            change: JobChange::Keep,
        };
        self.update(lease, &update).await
    }

    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let update = JobUpdate {
            known: None,
            facts: Vec::new(),
            calls: calls.to_vec(),
            change: JobChange::Release(release),
        };
        self.update(lease, &update).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: JobOutcome,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let update = JobUpdate {
            known: None,
            facts: facts.to_vec(),
            calls: calls.to_vec(),
            change: JobChange::Finish(outcome),
        };
        self.update(lease, &update).await
    }
}
