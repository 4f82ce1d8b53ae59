//! Runs one attempt of a job.

mod activate;
mod check;
mod client;
mod place;
mod record;
mod report;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::job::JobOutcome;
use domain::key::WhmcsOrderId;
use domain::order::{Fact, IllegalFact, OrderDetails, OrderState, Phase, Plan, Step, next};
use domain::ports::{CallError, Claimed, JobChange, JobQueueExt, JobUpdate, Release, StoreError};
use domain::time::Timestamp;
use error_chain::chain;
use tokio_util::sync::CancellationToken;

use crate::calls::Calls;
use crate::measure;
use crate::worker::Ports;
use crate::{LeaseGuard, ProcessState, Settings};

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptResult {
    /// The job finished.
    Finished(JobOutcome),
    /// The job was released and resumes later, from its facts.
    Released,
}

impl AttemptResult {
    /// Stable name for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished(outcome) => outcome.name(),
            Self::Released => "released",
        }
    }
}

/// What to do after a step.
enum Flow {
    Continue,
    Release(Release),
    Finish(JobOutcome, Vec<Fact>),
}

/// Runs a claimed job until it finishes or must wait.
///
/// Every fact is committed under the lease token before the next step starts, so that the next
/// claim after a crash resumes from there.
///
/// # Errors
/// [`StoreError`]: the job is left to its lease.
pub async fn execute(
    ports: &Ports,
    settings: &Settings,
    process: &Arc<ProcessState>,
    claimed: Claimed,
    guard: &LeaseGuard,
    draining: &CancellationToken,
) -> Result<AttemptResult, StoreError> {
    let state = match OrderState::replay(&claimed.facts) {
        Ok(state) => state,
        Err(error) => return set_aside(ports, &claimed, &error).await,
    };
    let started = ports.clock.monotonic();
    let (calls, ports) = Calls::recording(ports, process, &claimed, started);
    let ports = &ports;
    let mut attempt = Attempt {
        started,
        ports,
        calls,
        settings,
        process,
        claimed,
        guard,
        state,
        details: None,
        step_started: started,
        spent: Duration::ZERO,
        tries: 0,
        conflicts: 0,
        answered: None,
    };
    attempt.withdraw_unsent().await?;
    loop {
        let flow = match draining.is_cancelled() {
            true => Flow::Release(Release {
                after: Duration::ZERO,
                deferral: false,
            }),
            false => {
                let name = attempt.next().name();
                attempt.step_started = ports.clock.monotonic();
                let flow = attempt.step().await?;
                let took = ports.clock.monotonic().saturating_sub(attempt.step_started);
                measure::step(name, took);
                flow
            }
        };
        let lease = &attempt.claimed.lease;
        match flow {
            Flow::Continue => {}
            Flow::Release(release) => {
                ports
                    .queue
                    .release(lease, release, &attempt.calls.take())
                    .await?;
                return Ok(AttemptResult::Released);
            }
            Flow::Finish(outcome, facts) => {
                let calls = attempt.calls.take();
                ports.queue.finish(lease, outcome, &facts, &calls).await?;
                let failure = attempt.failure(&facts);
                if outcome == JobOutcome::Failed
                    && let Some(refusal) = &failure
                {
                    tracing::warn!(
                        order = %lease.order,
                        code = refusal.code.as_str(),
                        reason = refusal.detail,
                        "order failed"
                    );
                }
                let code = failure.map(|refusal| refusal.code);
                let requested = attempt.claimed.job.requested_at;
                measure::finished(outcome, code, requested, attempt.now());
                return Ok(AttemptResult::Finished(outcome));
            }
        }
    }
}

/// Sets aside a job whose order has facts that this release cannot replay. Otherwise it would be claimed
/// again and again. No fact is appended: a newer release may be able to replay the history as it
/// is.
async fn set_aside(
    ports: &Ports,
    claimed: &Claimed,
    error: &IllegalFact,
) -> Result<AttemptResult, StoreError> {
    tracing::error!(
        error = %chain(&error),
        code = Code::Internal.as_str(),
        "job set aside: the facts of its order cannot be replayed"
    );
    let (lease, outcome) = (&claimed.lease, JobOutcome::Failed);
    let update = JobUpdate {
        facts: Vec::new(),
        calls: Vec::new(),
        change: JobChange::SetAside {
            cause: chain(&error).to_string(),
        },
    };
    ports.queue.update(lease, &update).await?;
    let now = claimed.at;
    measure::finished(outcome, Some(Code::Internal), claimed.job.requested_at, now);
    Ok(AttemptResult::Finished(outcome))
}

struct Attempt<'a> {
    /// Monotonic time of the start of the attempt.
    started: Duration,
    ports: &'a Ports,
    calls: Arc<Calls>,
    settings: &'a Settings,
    process: &'a ProcessState,
    claimed: Claimed,
    guard: &'a LeaseGuard,
    state: OrderState,
    details: Option<OrderDetails>,
    /// Monotonic time of the start of the current step.
    step_started: Duration,
    /// The used part of the retry budget: the time of failed steps and of the delays between them.
    spent: Duration,
    tries: u32,
    conflicts: u32,
    /// The order id that AddOrder returned in this attempt.
    answered: Option<WhmcsOrderId>,
}

impl Attempt<'_> {
    fn next(&self) -> Step {
        next(&self.state, &self.claimed.job.id)
    }

    /// The failure of the attempt, if it failed.
    fn failure(&self, last: &[Fact]) -> Option<Refusal> {
        let refusal = last.iter().find_map(|fact| match fact {
            Fact::Refused(refusal) => Some(refusal),
            _ => None,
        });
        let refusal = refusal.or(match &self.state.phase {
            Phase::Refused(refusal) => Some(refusal),
            _ => None,
        });
        refusal.cloned()
    }

    async fn step(&mut self) -> Result<Flow, StoreError> {
        let step = self.next();
        // While WHMCS denies us access, only probes are sent for all orders, and an order that is
        // already waiting is not read again either.
        let waiting = self.state.held.is_some() || self.details.is_some();
        if waiting
            && step.needs_provisioner()
            && let Some(open) = self.process.whmcs.opened()
        {
            // An operator's retry suggests that the cause was fixed just now.
            let is_retry = self.state.held.is_none() && self.state.has_failed_before();
            if !is_retry {
                return self.wait_for_whmcs(&open.detail).await;
            }
            if let Err(error) = self.probe_whmcs().await {
                return match error {
                    CallError::Denied { detail, .. } => self.wait_for_whmcs(&detail).await,
                    _ => self.wait_for_whmcs(&open.detail).await,
                };
            }
        }
        let Some(details) = self.details.clone() else {
            return self.check_order().await;
        };
        match step {
            Step::Check => self.start(&details).await,
            Step::ResolveClient => self.resolve_client(&details).await,
            Step::RecordClientUnknown => self.record(Fact::ClientUnknown { at: self.now() }).await,
            Step::ReconcileClient {
                since,
                empty_searches,
            } => self.reconcile_client(&details, since, empty_searches).await,
            Step::PlaceOrder {
                client,
                watermark,
                unknown,
            } => self.place(&details, client, watermark, unknown).await,
            Step::RecordPlacementUnknown => {
                self.record(Fact::PlaceUnknown { at: self.now() }).await
            }
            Step::ReconcilePlacement {
                client,
                watermark,
                since,
                empty_searches,
            } => {
                let search = place::Reconciliation {
                    client,
                    watermark,
                    since,
                    empty_searches,
                };
                self.reconcile_placement(&details, search).await
            }
            Step::Verify {
                client,
                order,
                watermark,
            } => self.verify(&details, client, order, watermark).await,
            Step::RecordActivationUnknown { creating: false } => {
                self.record(Fact::AcceptUnknown { at: self.now() }).await
            }
            Step::RecordActivationUnknown { creating: true } => {
                self.record(Fact::CreateUnknown { at: self.now() }).await
            }
            Step::Activate {
                client,
                order,
                progress,
            } => self.activate(client, order, &progress).await,
            Step::Report { refusal } => self.report(refusal).await,
            // Reporting and finishing the job are one commit, so only a job of an older release can
            // get here.
            Step::Done => Ok(Flow::Finish(JobOutcome::Succeeded, Vec::new())),
        }
    }

    fn plan(&self, details: &OrderDetails) -> Result<Plan, Refusal> {
        Plan::of(&details.items, &self.settings.overrides)
    }

    /// The current time by the store's clock: the time of the claim plus the time elapsed since.
    /// Our wall clock is not used, so recorded times mean the same on every machine.
    fn now(&self) -> Timestamp {
        let passed = self.ports.clock.monotonic().saturating_sub(self.started);
        self.claimed.at + passed
    }
}
