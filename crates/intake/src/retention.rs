//! Daily pruning of the store.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::Clock;
use error_chain::chain;
use operations::Pruner;
use tokio_util::sync::CancellationToken;

use crate::Health;

/// Age at which rows that are no longer needed are pruned; entries of the audit log only at
/// [`AUDIT_RETENTION`](operations::AUDIT_RETENTION).
pub const RETENTION: Duration = Duration::from_secs(90 * 24 * 3600);
const EVERY: Duration = Duration::from_secs(24 * 3600);
/// Interval at which a standby checks whether it leads.
const STANDBY_POLL: Duration = Duration::from_secs(60);

/// Prunes the store while this process leads, a minute after it became the leader and then daily.
/// Concurrent runs are harmless, and an interrupted one continues the next day.
pub struct Retention {
    store: Arc<dyn Pruner>,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
}

impl Retention {
    /// Creates the task for the intake with this health.
    #[must_use]
    pub fn new(store: Arc<dyn Pruner>, clock: Arc<dyn Clock>, health: Arc<Health>) -> Self {
        Self {
            store,
            clock,
            health,
        }
    }

    /// Runs until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        let mut due = Duration::ZERO;
        loop {
            let tick = self.clock.sleep(STANDBY_POLL);
            if shutdown.run_until_cancelled(tick).await.is_none() {
                return;
            }
            if !self.health.leads() || self.clock.monotonic() < due {
                continue;
            }
            let pruning = self.store.prune(RETENTION);
            match shutdown.run_until_cancelled(pruning).await {
                None => return,
                Some(Ok(pruned)) => {
                    due = self.clock.monotonic() + EVERY;
                    tracing::info!(
                        jobs = pruned.jobs,
                        events = pruned.events,
                        facts = pruned.facts,
                        dead_letters = pruned.dead_letters,
                        gaps = pruned.gaps,
                        audit = pruned.audit,
                        "store pruned"
                    );
                }
                Some(Err(error)) => tracing::warn!(error = %chain(&error), "pruning failed"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::job::JobOutcome;
    use domain::ports::{EventIntake, JobQueue};
    use operations::OrderViews;
    use testkit::JobQueueExt;
    use testkit::{MemoryStore, PausedClock, new_job, order_id, owner};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_leader_prunes() {
        let clock = Arc::new(PausedClock::default());
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock) as _));
        store
            .enqueue(&[new_job("e1", order_id(1), None)])
            .await
            .unwrap();
        let claimed = store.claim(&owner("w"), 1, EVERY).await.unwrap();
        store
            .finish(&claimed[0].lease, JobOutcome::Skipped, &[], &[])
            .await
            .unwrap();
        let health = Arc::<Health>::default();
        let retention = Retention::new(Arc::clone(&store) as _, clock, Arc::clone(&health));
        let shutdown = CancellationToken::new();
        let until = shutdown.clone();
        let running = tokio::spawn(async move { retention.run(until).await });
        tokio::time::sleep(RETENTION + EVERY).await;
        assert_eq!(store.jobs_of(order_id(1)).await.unwrap().len(), 1);
        health.lead(true);
        tokio::time::sleep(STANDBY_POLL * 2).await;
        assert!(store.jobs_of(order_id(1)).await.unwrap().is_empty());
        shutdown.cancel();
        running.await.unwrap();
    }
}
