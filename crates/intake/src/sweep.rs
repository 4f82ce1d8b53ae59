//! Orders that ought to have produced an event: found in the CRM, and enqueued.

use std::sync::Arc;
use std::time::Duration;

use domain::id::OrderId;
use domain::job::{Admission, NewJob, Source};
use domain::ports::{CallError, Clock, CrmOrders, JobIntake, Pending, StoreError};
use metrics::counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Health, measure};

/// Orders read at a time.
const PAGE: usize = 200;
/// Pages of one sweep at most; what is left is the next one's.
const PAGES: usize = 25;
/// How often a process that does not lead looks whether it does now.
const STANDBY_LOOK: Duration = Duration::from_secs(1);

/// What can be set about the sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepSettings {
    /// How often; zero is off.
    pub every: Duration,
    /// How long an order has been `Activating` before its event counts as missing.
    pub after: Duration,
}

/// The outside, as the sweep sees it.
#[derive(Clone)]
pub struct SweepPorts {
    /// Where the orders are.
    pub crm: Arc<dyn CrmOrders>,
    /// Where jobs go.
    pub store: Arc<dyn JobIntake>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

/// Looks for activations whose event never arrived, while this process leads.
///
/// Two sweeps at once do no harm: the second finds the job of the first.
pub struct Sweep {
    ports: SweepPorts,
    settings: SweepSettings,
    health: Arc<Health>,
    wanted: Arc<Notify>,
}

/// Why a sweep was cut short; the next one begins anew.
enum Cut {
    Crm(CallError),
    Store(StoreError),
}

/// What a sweep has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    pending: usize,
    enqueued: usize,
}

impl Sweep {
    /// A sweep beside the intake whose health this is, begun early whenever `wanted` says so.
    #[must_use]
    pub fn new(
        ports: SweepPorts,
        settings: SweepSettings,
        health: Arc<Health>,
        wanted: Arc<Notify>,
    ) -> Self {
        for outcome in ["ok", "failed"] {
            counter!("orderbridge_reconcile_sweeps_total", "outcome" => outcome).increment(0);
        }
        Self {
            ports,
            settings,
            health,
            wanted,
        }
    }

    /// Sweeps at once when leadership is won, and then regularly, until `shutdown`.
    pub async fn run(&self, shutdown: CancellationToken) {
        if self.settings.every.is_zero() {
            return;
        }
        while !shutdown.is_cancelled() {
            let pause = match self.health.leads() {
                false => STANDBY_LOOK,
                true => {
                    self.sweep().await;
                    self.settings.every
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.wanted.notified() => {}
                () = self.ports.clock.sleep(pause) => {}
            }
        }
    }

    async fn sweep(&self) {
        let outcome = match self.look_and_enqueue().await {
            Ok(found) => {
                if found.enqueued > 0 {
                    tracing::warn!(
                        pending = found.pending,
                        enqueued = found.enqueued,
                        "orders were Activating and their events had not arrived"
                    );
                }
                "ok"
            }
            Err(Cut::Crm(error)) => {
                tracing::warn!(%error, class = error.class(), "Salesforce was not swept");
                "failed"
            }
            Err(Cut::Store(error)) => {
                tracing::error!(%error, "the store did not take what the sweep found");
                "failed"
            }
        };
        counter!("orderbridge_reconcile_sweeps_total", "outcome" => outcome).increment(1);
    }

    async fn look_and_enqueue(&self) -> Result<Found, Cut> {
        let older_than = self.settings.after;
        let mut after: Option<OrderId> = None;
        let mut found = Found::default();
        for _ in 0..PAGES {
            let page = self.ports.crm.pending(older_than, after, PAGE);
            let page = page.await.map_err(Cut::Crm)?;
            found.pending += page.len();
            found.enqueued += self.enqueue(&page).await.map_err(Cut::Store)?;
            match page.last() {
                Some(last) if page.len() == PAGE => after = Some(last.order),
                _ => break,
            }
        }
        Ok(found)
    }

    async fn enqueue(&self, page: &[Pending]) -> Result<usize, StoreError> {
        if page.is_empty() {
            return Ok(0);
        }
        let now = self.ports.clock.now();
        let jobs = page.iter().map(|pending| NewJob::of_sweep(pending, now));
        let jobs: Vec<_> = jobs.collect();
        let mut admissions = self
            .ports
            .store
            .enqueue(&jobs)
            .await
            .map(|all| all.into_iter().map(Some).collect());
        if matches!(admissions, Err(StoreError::Unstorable(_))) {
            admissions = self.one_by_one(&jobs).await;
        }
        let admissions: Vec<Option<Admission>> = admissions?;
        let mut enqueued = 0;
        for (job, admission) in jobs.iter().zip(admissions) {
            if admission == Some(Admission::Enqueued) {
                enqueued += 1;
                tracing::warn!(order = %job.order, correlation_id = %job.correlation,
                    "no event came for this activation; enqueued");
                measure::enqueued(Source::Reconcile, 1);
            }
        }
        Ok(enqueued)
    }

    /// What the store cannot hold is left out, so that no other order waits for it.
    async fn one_by_one(&self, jobs: &[NewJob]) -> Result<Vec<Option<Admission>>, StoreError> {
        let mut admissions = Vec::with_capacity(jobs.len());
        for job in jobs {
            let enqueued = self.ports.store.enqueue(std::slice::from_ref(job)).await;
            admissions.push(match enqueued {
                Err(StoreError::Unstorable(error)) => {
                    tracing::error!(order = %job.order, error = &*error as &dyn std::error::Error,
                        "the store cannot hold what Salesforce says of this order; it is left out");
                    None
                }
                enqueued => enqueued?.first().copied(),
            });
        }
        Ok(admissions)
    }
}

#[cfg(test)]
mod tests {
    use domain::job::JobOutcome;
    use domain::key::IdemKey;
    use domain::order::ActivationStatus;
    use domain::ports::{JobQueue, JobReader};
    use domain::time::Timestamp;
    use testkit::{FakeClock, FakeCrm, MemoryStore, details, order_id, owner};

    use super::*;

    struct TestEnv {
        crm: Arc<FakeCrm>,
        store: Arc<MemoryStore>,
        /// The bridge's.
        clock: Arc<FakeClock>,
        salesforce: Arc<FakeClock>,
        sweep: Sweep,
    }

    fn house() -> TestEnv {
        let (clock, salesforce) = (
            Arc::new(FakeClock::default()),
            Arc::new(FakeClock::default()),
        );
        let (crm, store) = (
            Arc::new(FakeCrm::with_clock(Arc::clone(&salesforce) as _)),
            Arc::new(MemoryStore::new(Arc::clone(&clock) as _)),
        );
        let ports = SweepPorts {
            crm: Arc::clone(&crm) as _,
            store: Arc::clone(&store) as _,
            clock: Arc::clone(&clock) as _,
        };
        let settings = SweepSettings {
            every: Duration::from_secs(300),
            after: Duration::from_secs(120),
        };
        let sweep = Sweep::new(ports, settings, Arc::default(), Arc::default());
        TestEnv {
            crm,
            store,
            clock,
            salesforce,
            sweep,
        }
    }

    impl TestEnv {
        /// Time passes everywhere.
        fn advance(&self, by: Duration) {
            self.clock.advance(by);
            self.salesforce.advance(by);
        }

        /// A worker ends the job that is due.
        async fn finish(&self, outcome: JobOutcome) {
            let ttl = Duration::from_secs(15);
            let claimed = self.store.claim(&owner("w"), 1, ttl).await;
            let lease = claimed.expect("the store answers")[0].lease.clone();
            let finished = self.store.finish(&lease, outcome, &[], &[]).await;
            finished.expect("the lease holds");
        }

        fn activating(&self, number: u32, since: Timestamp) {
            let mut order = details(order_id(number));
            order.requested_at = Some(since);
            // The Flow renews the key with each activation.
            order.idem_key = IdemKey::new(format!("{since:?}"));
            self.crm.put(order);
        }

        async fn found(&self) -> Found {
            self.sweep
                .look_and_enqueue()
                .await
                .unwrap_or_else(|_| panic!("the fakes answer"))
        }
    }

    #[tokio::test]
    async fn an_activation_without_event_becomes_one_job_however_often_it_is_found() {
        let house = house();
        house.activating(1, house.salesforce.now());
        house.advance(Duration::from_secs(60));
        assert_eq!(house.found().await.pending, 0, "its event may still come");
        house.advance(Duration::from_secs(61));
        let (pending, enqueued) = (1, 1);
        assert_eq!(house.found().await, Found { pending, enqueued });
        assert_eq!(house.found().await.enqueued, 0, "in the same moment");
        house.advance(Duration::from_secs(300));
        assert_eq!(house.found().await.enqueued, 0, "and in the next sweep");
    }

    #[tokio::test]
    async fn an_activation_whose_job_failed_is_left_to_the_operator() {
        let house = house();
        house.activating(1, house.salesforce.now());
        house.advance(Duration::from_secs(121));
        house.found().await;
        house.finish(JobOutcome::Failed).await;
        house.advance(Duration::from_secs(300));
        assert_eq!(house.found().await.enqueued, 0);
        house.activating(1, house.salesforce.now());
        house.advance(Duration::from_secs(121));
        assert_eq!(house.found().await.enqueued, 1, "the operator asked again");
    }

    #[tokio::test]
    async fn an_activation_whose_job_did_nothing_is_found_again() {
        for outcome in [JobOutcome::Skipped, JobOutcome::Superseded] {
            let house = house();
            house.activating(1, house.salesforce.now());
            house.advance(Duration::from_secs(121));
            for _ in 0..3 {
                assert_eq!(house.found().await.enqueued, 1, "{outcome:?}");
                house.finish(outcome).await;
                house.advance(Duration::from_secs(300));
            }
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_ahead_of_salesforces_starts_no_attempt_twice_and_none_early() {
        for (bridge, salesforce) in [(600, 0), (0, 600)] {
            let house = house();
            house.clock.advance(Duration::from_secs(bridge));
            house.salesforce.advance(Duration::from_secs(salesforce));
            house.activating(1, house.salesforce.now());
            house.advance(Duration::from_secs(60));
            assert_eq!(house.found().await.pending, 0, "its event may still come");
            house.advance(Duration::from_secs(61));
            assert_eq!(house.found().await.enqueued, 1);
            house.finish(JobOutcome::Failed).await;
            // The operator asks again: by the store's clock its job may have ended later.
            house.activating(1, house.salesforce.now());
            house.advance(Duration::from_secs(121));
            assert_eq!(house.found().await.enqueued, 1);
            house.finish(JobOutcome::Failed).await;
            house.advance(Duration::from_secs(300));
            assert_eq!(house.found().await.enqueued, 0);
        }
    }

    #[tokio::test]
    async fn more_orders_than_a_page_are_all_found_and_others_are_left_alone() {
        let house = house();
        for number in 1..=450 {
            house.activating(number, house.salesforce.now());
        }
        house
            .crm
            .set_activation(order_id(7), ActivationStatus::Failed);
        house.advance(Duration::from_secs(121));
        assert_eq!(house.found().await.enqueued, 449);
        let queue_stats = house.store.queue_stats().await.expect("the store answers");
        assert_eq!(queue_stats.count("queued"), 449);
    }
}
