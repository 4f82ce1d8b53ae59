//! Sweep: finds orders in the CRM that should have produced an event, and enqueues them.

use std::sync::Arc;
use std::time::Duration;

use domain::id::OrderId;
use domain::job::{Admission, NewJob, Source};
use domain::ports::{CallError, Clock, EventIntake, Pending, PendingActivations, StoreError};
use error_chain::chain;
use metrics::counter;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{Health, measure};

/// Orders per page.
const PAGE: usize = 200;
/// Maximum pages per sweep; the next sweep continues.
const PAGES: usize = 25;
/// Interval at which a standby checks whether it leads.
const STANDBY_POLL: Duration = Duration::from_secs(1);
/// Salesforce's time is known to the second: an order counts as old enough up to a second late.
const TIME_RESOLUTION: Duration = Duration::from_secs(2);

/// Settings of the sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepSettings {
    /// Interval; zero disables the sweep.
    pub every: Duration,
    /// How long an order must be `Activating` before its event counts as missing.
    pub after: Duration,
}

/// The ports that the sweep uses.
#[derive(Clone)]
pub struct SweepPorts {
    /// The CRM.
    pub crm: Arc<dyn PendingActivations>,
    /// The job store.
    pub store: Arc<dyn EventIntake>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// Searches for activations whose event never arrived, while this process leads.
///
/// Concurrent sweeps are harmless: the second finds the job of the first.
pub struct Sweep {
    ports: SweepPorts,
    settings: SweepSettings,
    health: Arc<Health>,
    wanted: Arc<Notify>,
}

/// Why a sweep failed; the next one starts over.
enum SweepError {
    Crm(CallError),
    Store(StoreError),
}

/// The result of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    pending: usize,
    enqueued: usize,
}

impl Sweep {
    /// Creates the sweep for the intake with this health. It runs early when `wanted` is notified.
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

    /// Sweeps at once when leadership is won or events were missed, and then regularly, until
    /// `shutdown`.
    ///
    /// A sweep for missed events is repeated after [`SweepSettings::after`]: what was approved
    /// shortly before they were missed is too young for the first one.
    pub async fn run(&self, shutdown: CancellationToken) {
        let SweepSettings { every, after } = self.settings;
        if every.is_zero() {
            return;
        }
        let mut missed = false;
        while !shutdown.is_cancelled() {
            let pause = if self.health.leads() {
                self.sweep().await;
                match std::mem::take(&mut missed) {
                    true => every.min(after + TIME_RESOLUTION),
                    false => every,
                }
            } else {
                STANDBY_POLL
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = self.wanted.notified() => missed = true,
                () = self.ports.clock.sleep(pause) => {}
            }
        }
    }

    async fn sweep(&self) {
        let outcome = match self.find_and_enqueue().await {
            Ok(found) => {
                if found.enqueued > 0 {
                    tracing::warn!(
                        pending = found.pending,
                        enqueued = found.enqueued,
                        "sweep enqueued orders whose events had not arrived"
                    );
                }
                "ok"
            }
            Err(SweepError::Crm(error)) => {
                tracing::warn!(error = %chain(&error), class = error.class(), "sweep failed");
                "failed"
            }
            Err(SweepError::Store(error)) => {
                tracing::error!(error = %chain(&error), "sweep failed: jobs not enqueued");
                "failed"
            }
        };
        counter!("orderbridge_reconcile_sweeps_total", "outcome" => outcome).increment(1);
    }

    async fn find_and_enqueue(&self) -> Result<Found, SweepError> {
        let older_than = self.settings.after;
        let mut after: Option<OrderId> = None;
        let mut found = Found::default();
        for _ in 0..PAGES {
            let page = self.ports.crm.pending(older_than, after, PAGE);
            let page = page.await.map_err(SweepError::Crm)?;
            found.pending += page.len();
            found.enqueued += self.enqueue(&page).await.map_err(SweepError::Store)?;
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
                    "activation without event enqueued");
                measure::enqueued(Source::Reconcile, 1);
            }
        }
        Ok(enqueued)
    }

    /// Skips jobs that the store cannot hold, so that they do not block others.
    async fn one_by_one(&self, jobs: &[NewJob]) -> Result<Vec<Option<Admission>>, StoreError> {
        let mut admissions = Vec::with_capacity(jobs.len());
        for job in jobs {
            let enqueued = self.ports.store.enqueue(std::slice::from_ref(job)).await;
            admissions.push(match enqueued {
                Err(StoreError::Unstorable(error)) => {
                    tracing::error!(order = %job.order, error = %chain(&*error),
                        "order skipped: the store cannot hold its data");
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
    use domain::ports::JobQueue;
    use domain::time::Timestamp;
    use operations::{JobStage, Statistics};
    use testkit::JobQueueExt;
    use testkit::{FakeClock, FakeCrm, MemoryStore, PausedClock, details, order_id, owner};

    use super::*;

    struct TestEnv {
        crm: Arc<FakeCrm>,
        store: Arc<MemoryStore>,
        /// Clock of orderbridge.
        clock: Arc<FakeClock>,
        salesforce: Arc<FakeClock>,
        sweep: Sweep,
    }

    fn env() -> TestEnv {
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
        /// Advances both clocks.
        fn advance(&self, by: Duration) {
            self.clock.advance(by);
            self.salesforce.advance(by);
        }

        /// A worker finishes the due job.
        async fn finish(&self, outcome: JobOutcome) {
            let ttl = Duration::from_secs(15);
            let claimed = self.store.claim(&owner("w"), 1, ttl).await;
            let lease = claimed.expect("the store answers")[0].lease.clone();
            let finished = self.store.finish(&lease, outcome, &[], &[]).await;
            finished.expect("the lease is valid");
        }

        fn activating(&self, number: u32, since: Timestamp) {
            let mut order = details(order_id(number));
            order.requested_at = Some(since);
            // The Flow renews the key with each activation.
            order.idem_key = IdemKey::new(format!("{since:?}"));
            self.crm.put(order);
        }

        async fn run_sweep(&self) -> Found {
            self.sweep
                .find_and_enqueue()
                .await
                .unwrap_or_else(|_| panic!("the fakes answer"))
        }
    }

    #[tokio::test]
    async fn activation_without_event_becomes_one_job() {
        let env = env();
        env.activating(1, env.salesforce.now());
        env.advance(Duration::from_secs(60));
        assert_eq!(
            env.run_sweep().await.pending,
            0,
            "its event may still arrive"
        );
        env.advance(Duration::from_secs(61));
        let (pending, enqueued) = (1, 1);
        assert_eq!(env.run_sweep().await, Found { pending, enqueued });
        assert_eq!(env.run_sweep().await.enqueued, 0, "at the same time");
        env.advance(Duration::from_secs(300));
        assert_eq!(env.run_sweep().await.enqueued, 0, "and in the next sweep");
    }

    #[tokio::test]
    async fn failed_activation_is_left_to_operator() {
        let env = env();
        env.activating(1, env.salesforce.now());
        env.advance(Duration::from_secs(121));
        env.run_sweep().await;
        env.finish(JobOutcome::Failed).await;
        env.advance(Duration::from_secs(300));
        assert_eq!(env.run_sweep().await.enqueued, 0);
        env.activating(1, env.salesforce.now());
        env.advance(Duration::from_secs(121));
        assert_eq!(env.run_sweep().await.enqueued, 1, "the operator retried");
    }

    #[tokio::test]
    async fn skipped_or_superseded_activation_is_enqueued_again() {
        for outcome in [JobOutcome::Skipped, JobOutcome::Superseded] {
            let env = env();
            env.activating(1, env.salesforce.now());
            env.advance(Duration::from_secs(121));
            for _ in 0..3 {
                assert_eq!(env.run_sweep().await.enqueued, 1, "{outcome:?}");
                env.finish(outcome).await;
                env.advance(Duration::from_secs(300));
            }
        }
    }

    #[tokio::test]
    async fn clock_skew_neither_duplicates_nor_starts_early() {
        for (bridge, salesforce) in [(600, 0), (0, 600)] {
            let env = env();
            env.clock.advance(Duration::from_secs(bridge));
            env.salesforce.advance(Duration::from_secs(salesforce));
            env.activating(1, env.salesforce.now());
            env.advance(Duration::from_secs(60));
            assert_eq!(
                env.run_sweep().await.pending,
                0,
                "its event may still arrive"
            );
            env.advance(Duration::from_secs(61));
            assert_eq!(env.run_sweep().await.enqueued, 1);
            env.finish(JobOutcome::Failed).await;
            // The operator retries: by the store's clock the job may have finished later.
            env.activating(1, env.salesforce.now());
            env.advance(Duration::from_secs(121));
            assert_eq!(env.run_sweep().await.enqueued, 1);
            env.finish(JobOutcome::Failed).await;
            env.advance(Duration::from_secs(300));
            assert_eq!(env.run_sweep().await.enqueued, 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sweep_for_missed_events_is_repeated_once_young_orders_are_old_enough() {
        let clock: Arc<dyn Clock> = Arc::new(PausedClock::default());
        let crm = Arc::new(FakeCrm::with_clock(Arc::clone(&clock)));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let ports = SweepPorts {
            crm: Arc::clone(&crm) as _,
            store: Arc::clone(&store) as _,
            clock: Arc::clone(&clock),
        };
        let settings = SweepSettings {
            every: Duration::from_secs(3600),
            after: Duration::from_secs(120),
        };
        let (health, missed) = (Arc::new(Health::default()), Arc::new(Notify::new()));
        health.lead(true);
        let sweep = Sweep::new(ports, settings, health, Arc::clone(&missed));
        let shutdown = CancellationToken::new();
        let test = async {
            clock.sleep(Duration::from_secs(1)).await;
            let mut order = details(order_id(1));
            order.requested_at = Some(clock.now());
            crm.put(order);
            missed.notify_one();
            clock.sleep(Duration::from_secs(130)).await;
            let stats = store.queue_stats().await.expect("the store answers");
            assert_eq!(stats.count(JobStage::Queued), 1);
            shutdown.cancel();
        };
        tokio::join!(sweep.run(shutdown.clone()), test);
    }

    #[tokio::test]
    async fn all_pages_of_activating_orders_are_enqueued() {
        let env = env();
        for number in 1..=450 {
            env.activating(number, env.salesforce.now());
        }
        env.crm
            .set_activation(order_id(7), ActivationStatus::Failed);
        env.advance(Duration::from_secs(121));
        assert_eq!(env.run_sweep().await.enqueued, 449);
        let queue_stats = env.store.queue_stats().await.expect("the store answers");
        assert_eq!(queue_stats.count(JobStage::Queued), 449);
    }
}
