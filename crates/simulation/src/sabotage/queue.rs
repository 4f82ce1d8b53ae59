//! Job queues with a hole.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::{JobOutcome, Lease};
use domain::key::Owner;
use domain::order::Fact;
use domain::ports::{CallRecord, Claimed, JobQueue, Release, StoreError};

use crate::books::ledger::Ledger;

/// Takes whoever writes for the owner of the job's last lease.
pub(super) struct NoFence(pub(super) Arc<Ledger>);

impl NoFence {
    async fn as_owner(&self, lease: &Lease) -> Lease {
        let last = self.0.last_lease(&lease.job);
        let last = last.unwrap_or_else(|| lease.clone());
        // Nor does it matter whether it ran out.
        let _ = self
            .0
            .store
            .renew(std::slice::from_ref(&last), Duration::from_secs(1))
            .await;
        last
    }
}

#[async_trait]
impl JobQueue for NoFence {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.0.claim(owner, limit, ttl).await
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        self.0.renew(leases, ttl).await.map(|_| Vec::new())
    }

    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let lease = self.as_owner(lease).await;
        self.0.record(&lease, facts, calls).await
    }

    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let lease = self.as_owner(lease).await;
        self.0.release(&lease, release, calls).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: JobOutcome,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let lease = self.as_owner(lease).await;
        self.0.finish(&lease, outcome, facts, calls).await
    }

    async fn wait(&self, limit: Duration) {
        self.0.wait(limit).await;
    }
}

/// Answers that the intent to place is committed, and forgets it.
pub(super) struct NoIntent(pub(super) Arc<Ledger>);

#[async_trait]
impl JobQueue for NoIntent {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.0.claim(owner, limit, ttl).await
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        self.0.renew(leases, ttl).await
    }

    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let about_placing = |fact: &Fact| {
            matches!(
                fact,
                Fact::Placing { .. } | Fact::NotPlaced | Fact::PlaceUnknown { .. }
            )
        };
        match facts.iter().any(about_placing) {
            true => Ok(()),
            false => self.0.record(lease, facts, calls).await,
        }
    }

    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.0.release(lease, release, calls).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        outcome: JobOutcome,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.0.finish(lease, outcome, facts, calls).await
    }

    async fn wait(&self, limit: Duration) {
        self.0.wait(limit).await;
    }
}
