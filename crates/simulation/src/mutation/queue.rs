//! Mutations of the job queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::Lease;
use domain::order::Fact;
use domain::ports::{JobQueue, JobUpdate, StoreError};
use testkit::StoreResult;
use testkit::intercept::{Around, Intercepted, JobQueueHooks};

use crate::state::audited_store::AuditedStore;

/// Treats every writer as the holder of the job's latest lease.
pub(super) struct NoLeaseToken(pub(super) Arc<Intercepted<AuditedStore>>);

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

testkit::inner!(NoLeaseToken: JobQueue = 0);

impl Around<StoreError> for NoLeaseToken {}

#[async_trait]
impl JobQueueHooks for NoLeaseToken {
    async fn renew(&self, leases: &[Lease], ttl: Duration) -> StoreResult<Vec<Lease>> {
        self.0.renew(leases, ttl).await.map(|_| Vec::new())
    }

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> StoreResult<()> {
        let lease = self.as_owner(lease).await;
        self.0.update(&lease, update).await
    }
}

/// Acknowledges the intent of AddOrder, and that it had no or an unknown effect, without recording
/// it.
pub(super) struct NoIntent(pub(super) Arc<Intercepted<AuditedStore>>);

testkit::inner!(NoIntent: JobQueue = 0);

impl Around<StoreError> for NoIntent {}

#[async_trait]
impl JobQueueHooks for NoIntent {
    async fn update(&self, lease: &Lease, update: &JobUpdate) -> StoreResult<()> {
        let about_placing = |fact: &Fact| {
            matches!(
                fact,
                Fact::Placing { .. } | Fact::NotPlaced | Fact::PlaceUnknown { .. }
            )
        };
        let mut update = update.clone();
        // Its worker counts what was not recorded.
        update.known = None;
        update.facts.retain(|fact| !about_placing(fact));
        self.0.update(lease, &update).await
    }
}
