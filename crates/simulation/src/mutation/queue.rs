//! Mutations of the job queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::Lease;
use domain::key::Owner;
use domain::order::Fact;
use domain::ports::{Claimed, JobQueue, JobUpdate, StoreError};

use crate::state::audited_store::AuditedStore;

/// Treats every writer as the holder of the job's latest lease.
pub(super) struct NoLeaseToken(pub(super) Arc<AuditedStore>);

impl NoLeaseToken {
    async fn as_owner(&self, lease: &Lease) -> Lease {
        let last = self.0.last_lease(&lease.job);
        let last = last.unwrap_or_else(|| lease.clone());
        // Even an expired lease is accepted.
        let _ = self
            .0
            .inner
            .renew(std::slice::from_ref(&last), Duration::from_secs(1))
            .await;
        last
    }
}

#[async_trait]
impl JobQueue for NoLeaseToken {
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

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> Result<(), StoreError> {
        let lease = self.as_owner(lease).await;
        self.0.update(&lease, update).await
    }

    async fn wait_for_work(&self, limit: Duration) {
        self.0.wait_for_work(limit).await;
    }
}

/// Acknowledges the intent of AddOrder without recording it.
pub(super) struct NoIntent(pub(super) Arc<AuditedStore>);

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

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> Result<(), StoreError> {
        let about_placing = |fact: &Fact| {
            matches!(
                fact,
                Fact::Placing { .. } | Fact::NotPlaced | Fact::PlaceUnknown { .. }
            )
        };
        match update.facts.iter().any(about_placing) {
            true => Ok(()),
            false => self.0.update(lease, update).await,
        }
    }

    async fn wait_for_work(&self, limit: Duration) {
        self.0.wait_for_work(limit).await;
    }
}
