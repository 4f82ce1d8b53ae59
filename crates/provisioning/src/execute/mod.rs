//! One job, from its facts to its end.

mod client;
mod look;
mod place;
mod record;
mod report;
mod set_up;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::job::JobOutcome;
use domain::key::WhmcsOrderId;
use domain::order::{Fact, IllegalFact, OrderDetails, OrderState, Phase, Plan, Step, next};
use domain::ports::{CallError, Claimed, Release, StoreError};
use domain::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::calls::Calls;
use crate::measure;
use crate::worker::Ports;
use crate::{Hold, ProcessState, Settings};

/// How a job left our hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is over.
    Finished(JobOutcome),
    /// It goes on later, from its facts.
    Released,
}

impl End {
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

/// Works on a claimed job until it ends or must wait.
///
/// Everything learnt is committed under the job's fence before the next step begins, so that
/// whoever claims the job after a crash goes on from there.
///
/// # Errors
/// [`StoreError`]: the job is left to its lease.
pub async fn execute(
    ports: &Ports,
    settings: &Settings,
    process: &Arc<ProcessState>,
    claimed: Claimed,
    hold: &Hold,
    draining: &CancellationToken,
) -> Result<End, StoreError> {
    let state = match OrderState::replay(&claimed.facts) {
        Ok(state) => state,
        Err(error) => return set_aside(ports, &claimed, &error).await,
    };
    let begun = ports.clock.monotonic();
    let (calls, ports) = Calls::noting(ports, process, &claimed, begun);
    let ports = &ports;
    let mut attempt = Attempt {
        begun,
        ports,
        calls,
        settings,
        process,
        claimed,
        hold,
        state,
        details: None,
        step_begun: begun,
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
                attempt.step_begun = ports.clock.monotonic();
                let flow = attempt.step().await?;
                let took = ports.clock.monotonic().saturating_sub(attempt.step_begun);
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
                return Ok(End::Released);
            }
            Flow::Finish(outcome, facts) => {
                let calls = attempt.calls.take();
                ports.queue.finish(lease, outcome, &facts, &calls).await?;
                let code = attempt.code(&facts);
                let asked = attempt.claimed.job.requested_at;
                measure::finished(outcome, code, asked, attempt.now());
                return Ok(End::Finished(outcome));
            }
        }
    }
}

/// Ends a job whose order has a history that makes no sense to this release. It would be
/// claimed again and again, and nothing can be done for the order without knowing what exists.
/// No fact is appended: a newer release may be able to follow the history as it is.
async fn set_aside(
    ports: &Ports,
    claimed: &Claimed,
    error: &IllegalFact,
) -> Result<End, StoreError> {
    tracing::error!(
        %error,
        code = Code::Internal.as_str(),
        "the facts of the order cannot be followed; its job is set aside"
    );
    let (lease, outcome) = (&claimed.lease, JobOutcome::Failed);
    ports.queue.finish(lease, outcome, &[], &[]).await?;
    let now = claimed.at;
    measure::finished(outcome, Some(Code::Internal), claimed.job.requested_at, now);
    Ok(End::Finished(outcome))
}

struct Attempt<'a> {
    /// The monotonic clock when the job was taken in hand.
    begun: Duration,
    ports: &'a Ports,
    calls: Arc<Calls>,
    settings: &'a Settings,
    process: &'a ProcessState,
    claimed: Claimed,
    hold: &'a Hold,
    state: OrderState,
    details: Option<OrderDetails>,
    /// The monotonic clock when the present step began.
    step_begun: Duration,
    /// How much of the retry budget is used up: the time of steps that came to nothing, and of
    /// the pauses between them.
    spent: Duration,
    tries: u32,
    conflicts: u32,
    /// The order that AddOrder named in its answer just now.
    answered: Option<WhmcsOrderId>,
}

impl Attempt<'_> {
    fn next(&self) -> Step {
        next(&self.state, &self.claimed.job.id)
    }

    /// Why the attempt ends badly, if it does.
    fn code(&self, last: &[Fact]) -> Option<Code> {
        let told = last.iter().find_map(|fact| match fact {
            Fact::Refused(refusal) => Some(refusal.code),
            _ => None,
        });
        told.or(match &self.state.phase {
            Phase::Refused(refusal) => Some(refusal.code),
            _ => None,
        })
    }

    async fn step(&mut self) -> Result<Flow, StoreError> {
        let step = self.next();
        // While WHMCS refuses us as such, one probe asks for all: no storm of calls that are
        // refused too, and an order that is waiting already is not read again either.
        let waiting = self.state.held.is_some() || self.details.is_some();
        if waiting
            && step.asks_provisioner()
            && let Some(open) = self.process.whmcs.opened()
        {
            // An operator who asks again has a reason to: it may have been fixed just now.
            let asks_again = self.state.held.is_none() && self.state.was_attempted_before();
            if !asks_again {
                return self.hold_back(&open.detail).await;
            }
            if let Err(error) = self.probe_whmcs().await {
                return match error {
                    CallError::Denied { detail, .. } => self.hold_back(&detail).await,
                    _ => self.hold_back(&open.detail).await,
                };
            }
        }
        let Some(details) = self.details.clone() else {
            return self.look().await;
        };
        match step {
            Step::Check => self.begin(&details).await,
            Step::ResolveClient => self.know_client(&details).await,
            Step::RecordClientUnknown => self.learn(Fact::ClientUnknown { at: self.now() }).await,
            Step::ReconcileClient {
                since,
                empty_searches,
            } => self.settle_client(&details, since, empty_searches).await,
            Step::Place {
                client,
                watermark,
                unknown,
            } => self.place(&details, client, watermark, unknown).await,
            Step::RecordPlacementUnknown => self.learn(Fact::PlaceUnknown { at: self.now() }).await,
            Step::ReconcilePlacement {
                client,
                watermark,
                since,
                empty_searches,
            } => {
                let search = place::Settling {
                    client,
                    watermark,
                    since,
                    empty_searches,
                };
                self.settle_place(&details, search).await
            }
            Step::Verify {
                client,
                order,
                watermark,
            } => self.verify(&details, client, order, watermark).await,
            Step::RecordActivationUnknown { creating: false } => {
                self.learn(Fact::AcceptUnknown { at: self.now() }).await
            }
            Step::RecordActivationUnknown { creating: true } => {
                self.learn(Fact::CreateUnknown { at: self.now() }).await
            }
            Step::ActivationState {
                client,
                order,
                so_far,
            } => self.set_up(client, order, &so_far).await,
            Step::Report { refusal } => self.report(refusal).await,
            // Reported and the job's end are one commit, so only a job of an older release
            // can stand here.
            Step::Done => Ok(Flow::Finish(JobOutcome::Succeeded, Vec::new())),
        }
    }

    fn plan(&self, details: &OrderDetails) -> Result<Plan, Refusal> {
        Plan::of(&details.items, &self.settings.overrides)
    }

    /// The store's time: its time of the claim, and what has passed on our clock since. What
    /// our wall clock says is no matter, so facts mean the same to every machine.
    fn now(&self) -> Timestamp {
        let passed = self.ports.clock.monotonic().saturating_sub(self.begun);
        self.claimed.at + passed
    }
}
