//! The claim loop.

use std::sync::Arc;
use std::time::Duration;

use domain::job::NewJob;
use domain::key::Owner;
use domain::ports::{
    CallError, Claimed, Clock, CrmOrders, Entropy, JobQueue, Provisioner, StoreError,
};
use domain::time::Timestamp;
use futures::FutureExt;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::heartbeat::{Hold, Holds};
use crate::{End, Moment, Panic, ProcessState, Settings, execute, measure};

/// How long an idle worker waits for a wake-up before it looks by itself.
const SLOW_POLL: Duration = Duration::from_secs(15);
/// How long it waits after the store could not be asked.
pub(crate) const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The outside, as provisioning sees it.
#[derive(Clone)]
pub struct Ports {
    /// Jobs and facts.
    pub queue: Arc<dyn JobQueue>,
    /// The CRM.
    pub crm: Arc<dyn CrmOrders>,
    /// WHMCS.
    pub provisioner: Arc<dyn Provisioner>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

/// Claims jobs and works on them until it is told to stop.
pub struct Worker {
    ports: Ports,
    settings: Arc<Settings>,
    process: Arc<ProcessState>,
    owner: Owner,
}

impl Worker {
    /// A worker with an owner id of its own, new at every start.
    #[must_use]
    pub fn new(ports: Ports, settings: Settings) -> Self {
        let owner = Owner::new(format!("worker-{}", ports.entropy.token()))
            .expect("the name begins with letters");
        measure::register();
        Self {
            ports,
            settings: Arc::new(settings),
            process: Arc::default(),
            owner,
        }
    }

    /// What the jobs of this process share, for readiness and alerts.
    #[must_use]
    pub fn process(&self) -> Arc<ProcessState> {
        Arc::clone(&self.process)
    }

    /// Works until `shutdown`, then drains: claims nothing more, lets each job finish its
    /// step, and leaves what takes longer than the drain to its lease.
    pub async fn run(&self, shutdown: CancellationToken) {
        let holds = Arc::new(Holds::default());
        // Side by side: neither a slow claim nor a slow probe may let a lease run out.
        tokio::select! {
            biased;
            () = self.keep_leases(&holds) => {}
            () = self.keep_probing() => {}
            () = self.work(&holds, &shutdown) => {}
        }
    }

    /// Renews the leases in hand; never returns.
    async fn keep_leases(&self, holds: &Holds) {
        let mut beat = tokio::time::interval(self.settings.lease / 3);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            beat.tick().await;
            holds.renew(&self.ports, self.settings.lease).await;
        }
    }

    /// Asks now and then, and whenever somebody wants it, whether WHMCS lets us in again;
    /// never returns.
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
            match self.ports.provisioner.probe().await {
                Ok(()) => breaker.succeeded(),
                Err(CallError::Denied { detail, .. }) => {
                    let now = Moment {
                        // The circuit is open, and keeps the time since when it is.
                        at: Timestamp::default(),
                        monotonic: self.ports.clock.monotonic(),
                    };
                    breaker.refused(now, &detail);
                }
                Err(error) => tracing::debug!(%error, "probe failed"),
            }
        }
    }

    async fn work(&self, holds: &Arc<Holds>, shutdown: &CancellationToken) {
        let mut jobs = JoinSet::new();
        while !shutdown.is_cancelled() {
            // A job that waits for an outside system lends its slot to one that need not.
            let lent = self.process.stalls.lendable(self.settings.concurrency);
            let busy = jobs.len().saturating_sub(lent);
            let free = self.settings.concurrency.saturating_sub(busy);
            // Measured before the call: the store's lease can only run out later than this.
            let until = self.ports.clock.monotonic() + self.settings.lease;
            let claimed = self.claim(free).await;
            let idle = claimed.is_empty();
            for claimed in claimed {
                let hold = Hold::new(claimed.lease.clone(), until);
                self.start(&mut jobs, claimed, hold, shutdown, holds);
            }
            if !idle {
                continue;
            }
            let wait = async {
                match free {
                    0 => std::future::pending().await,
                    _ => self.ports.queue.wait(SLOW_POLL).await,
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
                "jobs outlasted the drain; their leases run out"
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
                tracing::error!(%error, "jobs cannot be claimed");
                tokio::time::sleep(STORE_PAUSE).await;
                Vec::new()
            }
        }
    }

    fn start(
        &self,
        jobs: &mut JoinSet<()>,
        claimed: Claimed,
        hold: Hold,
        draining: &CancellationToken,
        holds: &Arc<Holds>,
    ) {
        let (ports, settings) = (self.ports.clone(), Arc::clone(&self.settings));
        let (process, draining) = (Arc::clone(&self.process), draining.clone());
        let kept = holds.keep(hold.clone());
        let span = span(&claimed.job);
        let attempt = async move {
            let _kept = kept;
            measure::claimed(&claimed);
            let begun = ports.clock.monotonic();
            let (job, order) = (claimed.job.id.clone(), claimed.job.order);
            let work = execute(&ports, &settings, &process, claimed, &hold, &draining);
            // What a panic leaves behind is dropped here, and the job goes on from its facts.
            let work = std::panic::AssertUnwindSafe(work).catch_unwind();
            tokio::select! {
                biased;
                () = hold.lost().cancelled() => {
                    tracing::warn!(
                        "job dropped; its lease was lost"
                    );
                    measure::left(&Err(StoreError::LeaseLost), ports.clock.monotonic().saturating_sub(begun));
                }
                ended = work => {
                    let took = ports.clock.monotonic().saturating_sub(begun);
                    match ended {
                        Ok(ended) => left(&ended, took),
                        Err(panic) => {
                            measure::panicked(took);
                            let words = words_of(&*panic);
                            tracing::error!(panic = words, "attempt panicked; its lease runs out");
                            process.panicked(Panic {
                                at: ports.clock.now(),
                                detail: format!("job {job} of order {order}: {words}"),
                            });
                        }
                    }
                }
            }
        };
        jobs.spawn(attempt.instrument(span));
    }
}

fn left(ended: &Result<End, StoreError>, took: Duration) {
    measure::left(ended, took);
    match ended {
        Ok(end) => tracing::info!(end = end.name(), "job left our hands"),
        Err(error) => tracing::error!(%error, "job dropped; its lease runs out"),
    }
}

/// What a panic said.
fn words_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref().copied())
        .unwrap_or("a panic without words")
}

/// A trace of its own, with what every line of the log about this attempt carries. At the
/// level of errors, so that a quiet log has it too.
fn span(job: &NewJob) -> tracing::Span {
    let span = tracing::error_span!(
        "provision",
        job = %job.id,
        order = %job.order,
        correlation_id = %job.correlation,
    );
    if let Some(event) = &job.event {
        traces::follows(&span, event.as_str());
    }
    span
}
