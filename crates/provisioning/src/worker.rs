//! The claim loop.

use std::sync::Arc;
use std::time::Duration;

use domain::job::NewJob;
use domain::key::Owner;
use domain::ports::{
    CallError, Claimed, Clock, CrmOrders, Entropy, JobQueue, Provisioner, ProvisionerReads,
    StoreError,
};
use domain::time::Timestamp;
use error_chain::chain;
use futures::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::heartbeat::{HeldLeases, LeaseGuard};
use crate::{AttemptResult, FailureTime, Panic, ProcessState, Settings, execute, measure};

/// How long an idle worker waits for a notification before it polls.
const SLOW_POLL: Duration = Duration::from_secs(15);
/// Delay after a failed call to the store.
pub(crate) const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The ports that provisioning uses.
#[derive(Clone)]
pub struct Ports {
    /// The job store.
    pub queue: Arc<dyn JobQueue>,
    /// The CRM.
    pub crm: Arc<dyn CrmOrders>,
    /// Reads of WHMCS.
    pub reads: Arc<dyn ProvisionerReads>,
    /// Effects in WHMCS.
    pub provisioner: Arc<dyn Provisioner>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// Claims jobs and runs them until shutdown.
pub struct Worker {
    ports: Ports,
    settings: Arc<Settings>,
    process: Arc<ProcessState>,
    owner: Owner,
}

impl Worker {
    /// Creates a worker with a new owner id.
    #[must_use]
    pub fn new(ports: Ports, settings: Settings) -> Self {
        let owner =
            Owner::new(format!("worker-{}", ports.entropy.token())).expect("the name is not blank");
        measure::register();
        Self {
            ports,
            settings: Arc::new(settings),
            process: Arc::default(),
            owner,
        }
    }

    /// The state shared by this process's jobs, for readiness and alerts.
    #[must_use]
    pub fn process(&self) -> Arc<ProcessState> {
        Arc::clone(&self.process)
    }

    /// Runs until `shutdown`, then drains: claims nothing more, lets each job finish its step, and
    /// leaves jobs that take longer than the drain to their lease.
    pub async fn run(&self, shutdown: CancellationToken) {
        let leases = Arc::new(HeldLeases::default());
        // Concurrent, so that neither a slow claim nor a slow probe lets a lease expire.
        tokio::select! {
            biased;
            () = self.keep_leases(&leases) => {}
            () = self.keep_probing() => {}
            () = self.work(&leases, &shutdown) => {}
        }
    }

    /// Renews the leases; never returns.
    async fn keep_leases(&self, leases: &HeldLeases) {
        let mut beat = tokio::time::interval(self.settings.lease / 3);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            let Ports { queue, clock, .. } = &self.ports;
            leases.renew(&**queue, &**clock, self.settings.lease).await;
        }
    }

    /// Probes WHMCS periodically and on request while calls are suspended; never returns.
    async fn keep_probing(&self) {
        let breaker = &self.process.whmcs;
        let mut probe = tokio::time::interval(self.settings.probe_every);
        probe.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = breaker.probe_wanted() => {}
                _ = probe.tick() => {}
            }
            if breaker.opened().is_none() {
                continue;
            }
            match self.ports.reads.probe().await {
                Ok(()) => breaker.succeeded(),
                Err(CallError::Denied { detail, .. }) => {
                    let now = FailureTime {
                        // Unused: the circuit is already open and keeps its own time.
                        at: Timestamp::default(),
                        monotonic: self.ports.clock.monotonic(),
                    };
                    breaker.refused(now, &detail);
                }
                Err(error) => tracing::debug!(error = %chain(&error), "probe failed"),
            }
        }
    }

    async fn work(&self, leases: &Arc<HeldLeases>, shutdown: &CancellationToken) {
        let mut jobs = JoinSet::new();
        while !shutdown.is_cancelled() {
            // The slots of stalled jobs are available to others.
            let extra = self.process.stalls.extra_slots(self.settings.concurrency);
            let busy = jobs.len().saturating_sub(extra);
            let free = self.settings.concurrency.saturating_sub(busy);
            // Measured before the call: by the store's clock the lease can only expire later.
            let until = self.ports.clock.monotonic() + self.settings.lease;
            let claimed = self.claim(free).await;
            let idle = claimed.is_empty();
            for claimed in claimed {
                let guard = LeaseGuard::new(claimed.lease.clone(), until);
                self.start(&mut jobs, claimed, guard, shutdown, leases);
            }
            if !idle {
                continue;
            }
            let wait = async {
                match free {
                    0 => std::future::pending().await,
                    _ => self.ports.queue.wait_for_work(SLOW_POLL).await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                Some(_) = jobs.join_next(), if !jobs.is_empty() => {}
                () = self.process.stalls.changed(), if free == 0 => {}
                () = wait => {}
            }
        }
        let drained = async { while jobs.join_next().await.is_some() {} };
        if tokio::time::timeout(self.settings.drain, drained)
            .await
            .is_err()
        {
            tracing::warn!(
                jobs = jobs.len(),
                "drain timed out; remaining jobs are left to their leases"
            );
        }
    }

    async fn claim(&self, free: usize) -> Vec<Claimed> {
        match self
            .ports
            .queue
            .claim(&self.owner, free, self.settings.lease)
            .await
        {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::error!(error = %chain(&error), "claim failed");
                tokio::time::sleep(STORE_PAUSE).await;
                Vec::new()
            }
        }
    }

    fn start(
        &self,
        jobs: &mut JoinSet<()>,
        claimed: Claimed,
        guard: LeaseGuard,
        draining: &CancellationToken,
        leases: &Arc<HeldLeases>,
    ) {
        let (ports, settings) = (self.ports.clone(), Arc::clone(&self.settings));
        let (process, draining) = (Arc::clone(&self.process), draining.clone());
        let renewal = leases.keep(guard.clone());
        let span = span(&claimed.job);
        let attempt = async move {
            let _renewal = renewal;
            measure::claimed(&claimed);
            let started = ports.clock.monotonic();
            let (job, order) = (claimed.job.id.clone(), claimed.job.order);
            let work = execute(&ports, &settings, &process, claimed, &guard, &draining);
            // A panic drops the attempt; the job resumes from its facts when its lease has expired.
            let work = std::panic::AssertUnwindSafe(work).catch_unwind();
            tokio::select! {
                biased;
                () = guard.lost().cancelled() => {
                    tracing::warn!(
                        "attempt aborted: lease lost"
                    );
                    measure::attempt_finished(&Err(StoreError::LeaseLost), ports.clock.monotonic().saturating_sub(started));
                }
                result = work => {
                    let took = ports.clock.monotonic().saturating_sub(started);
                    match result {
                        Ok(result) => log_result(&result, took),
                        Err(panic) => {
                            measure::panicked(took);
                            let message = panic_message(&*panic);
                            tracing::error!(panic = message, "attempt panicked; its lease will expire");
                            process.panicked(Panic {
                                at: ports.clock.now(),
                                detail: format!("job {job} of order {order}: {message}"),
                            });
                        }
                    }
                }
            }
        };
        jobs.spawn(attempt.instrument(span));
    }
}

fn log_result(result: &Result<AttemptResult, StoreError>, took: Duration) {
    measure::attempt_finished(result, took);
    match result {
        Ok(result) => tracing::info!(result = result.name(), "attempt finished"),
        Err(error) => {
            tracing::error!(error = %chain(&error), "attempt aborted: store error; its lease will expire");
        }
    }
}

/// The message of a panic.
fn panic_message(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied())
        .unwrap_or("a panic without a message")
}

/// The root span of an attempt, with the fields of its log lines. At error level, so that it is
/// enabled at every log level.
fn span(job: &NewJob) -> tracing::Span {
    let span = tracing::error_span!(
        "provision",
        job = %job.id,
        order = %job.order,
        correlation_id = %job.correlation,
    );
    if let Some(event) = &job.event {
        traces::link_event_trace(&span, event.as_str());
    }
    span
}
