//! One job, from its facts to its end.

mod client;
mod look;
mod place;
mod report;
mod set_up;

use std::sync::Arc;
use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::job::{Ending, backoff};
use domain::key::WhmcsOrderId;
use domain::order::{
    Fact, IllegalFact, OrderDetails, OrderState, Phase, Placing, Plan, Progress, Step, next,
};
use domain::ports::{CallError, Claimed, Release, StoreError, System};
use domain::time::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::calls::Calls;
use crate::measure;
use crate::worker::{Ports, STORE_PAUSE};
use crate::{Hold, Moment, ProcessState, Settings};

/// How a job left our hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is over.
    Finished(Ending),
    /// It goes on later, from its facts.
    Released,
}

impl End {
    /// Stable name for logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished(ending) => ending.name(),
            Self::Released => "released",
        }
    }
}

/// What to do after a step.
enum Flow {
    Continue,
    Release(Release),
    Finish(Ending, Vec<Fact>),
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
            Flow::Finish(ending, facts) => {
                let calls = attempt.calls.take();
                ports.queue.finish(lease, ending, &facts, &calls).await?;
                let code = attempt.code(&facts);
                let asked = attempt.claimed.job.requested_at;
                measure::finished(ending, code, asked, attempt.now());
                return Ok(End::Finished(ending));
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
    let (lease, ending) = (&claimed.lease, Ending::Failed);
    ports.queue.finish(lease, ending, &[], &[]).await?;
    let now = claimed.at;
    measure::finished(ending, Some(Code::Internal), claimed.job.requested_at, now);
    Ok(End::Finished(ending))
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
            Step::KnowClient => self.know_client(&details).await,
            Step::DoubtClient => self.learn(Fact::ClientUnknown { at: self.now() }).await,
            Step::SettleClient {
                since,
                empty_searches,
            } => self.settle_client(&details, since, empty_searches).await,
            Step::Place {
                client,
                watermark,
                unknown,
            } => self.place(&details, client, watermark, unknown).await,
            Step::DoubtPlace => self.learn(Fact::PlaceUnknown { at: self.now() }).await,
            Step::SettlePlace {
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
            Step::DoubtSetUp { creating: false } => {
                self.learn(Fact::AcceptUnknown { at: self.now() }).await
            }
            Step::DoubtSetUp { creating: true } => {
                self.learn(Fact::CreateUnknown { at: self.now() }).await
            }
            Step::SetUp {
                client,
                order,
                so_far,
            } => self.set_up(client, order, &so_far).await,
            Step::Report { refusal } => self.report(refusal).await,
            // Reported and the job's end are one commit, so only a job of an older release
            // can stand here.
            Step::Done => Ok(Flow::Finish(Ending::Succeeded, Vec::new())),
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

    /// Gives the job back until `due`.
    fn until(&self, due: Timestamp) -> Flow {
        Flow::Release(Release {
            after: due.since(self.now()),
            deferral: false,
        })
    }

    async fn learn(&mut self, fact: Fact) -> Result<Flow, StoreError> {
        let next = self
            .state
            .clone()
            .apply(&fact)
            .map_err(|error| StoreError::Corrupt {
                what: format!("a new fact of order {}", self.claimed.job.order),
                source: Box::new(error),
            })?;
        let mut calls = self.calls.take();
        loop {
            let facts = std::slice::from_ref(&fact);
            match self
                .ports
                .queue
                .record(&self.claimed.lease, facts, &calls)
                .await
            {
                Ok(()) => break,
                // It may have been stored or not, and the same fact twice in a row is one. As
                // long as the lease holds nobody else can go on, so neither may we give up.
                Err(StoreError::Unavailable(error)) => {
                    tracing::warn!(
                        error,
                        fact = fact.name(),
                        "the store did not answer; recording the fact again"
                    );
                    calls.clear();
                    self.ports.clock.sleep(STORE_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        tracing::info!(fact = fact.name(), "learnt");
        self.state = next;
        Ok(Flow::Continue)
    }

    async fn refuse(&mut self, refusal: Refusal) -> Result<Flow, StoreError> {
        self.learn(Fact::Refused(refusal)).await
    }

    /// Commits an intent; the last thing before an effect, which is sent at once when `None`
    /// is answered. Until then this process remembers that nothing was sent, so that a store
    /// that stops answering leaves no doubt about it.
    ///
    /// Afterwards the lease must still hold by our own clock, or another worker may own the
    /// job: then the intent is withdrawn.
    async fn intend(&mut self, intent: Fact) -> Result<Option<Flow>, StoreError> {
        let order = self.claimed.job.order;
        self.process.never_sent(order, intent.clone());
        self.learn(intent).await?;
        if self.hold.is_valid_at(self.ports.clock.monotonic()) {
            self.process.take_unsent(order);
            return Ok(None);
        }
        self.withdraw_unsent().await?;
        Ok(Some(Flow::Release(Release {
            after: Duration::ZERO,
            deferral: false,
        })))
    }

    /// Takes back an intent whose call this process never sent.
    async fn withdraw_unsent(&mut self) -> Result<(), StoreError> {
        let order = self.claimed.job.order;
        let Some(intent) = self.process.take_unsent(order) else {
            return Ok(());
        };
        if !self.state.is_in_flight(&intent) {
            return Ok(());
        }
        let nothing_done = match &intent {
            Fact::CreatingClient { .. } => Fact::ClientNotCreated,
            Fact::Placing { .. } => Fact::NotPlaced,
            Fact::Accepting { .. } => Fact::NotAccepted,
            Fact::Creating { .. } => Fact::NotCreated,
            _ => return Ok(()),
        };
        tracing::info!(
            intent = intent.name(),
            "the call was never sent; intent withdrawn"
        );
        self.process.never_sent(order, intent);
        self.learn(nothing_done).await?;
        self.process.take_unsent(order);
        Ok(())
    }

    fn moment(&self) -> Moment {
        Moment {
            at: self.now(),
            monotonic: self.ports.clock.monotonic(),
        }
    }

    /// Asks WHMCS whether it lets us in; calls go on when it does.
    async fn probe_whmcs(&self) -> Result<(), CallError> {
        let answer = self.ports.provisioner.probe().await;
        match &answer {
            Ok(()) => self.process.whmcs.succeeded(),
            Err(CallError::Denied { detail, .. }) => {
                self.process.whmcs.refused(self.moment(), detail);
            }
            Err(_) => {}
        }
        answer
    }

    /// What to do when WHMCS could not be asked, or certainly did nothing.
    async fn after_no_effect(&mut self, error: CallError) -> Result<Flow, StoreError> {
        match error {
            CallError::Refused(refusal) => self.refuse(refusal).await,
            CallError::Denied { detail, .. } => {
                self.process.whmcs.refused(self.moment(), &detail);
                self.hold_back(&detail).await
            }
            CallError::NotSent {
                retry_after,
                source,
            } => self.retry(retry_after, &*source).await,
            CallError::Unknown { source } => self.retry(None, &*source).await,
        }
    }

    /// Waits for WHMCS to let us in, and fails the order when that takes too long.
    async fn hold_back(&mut self, detail: &str) -> Result<Flow, StoreError> {
        let now = self.now();
        let since = match self.state.held {
            Some(since) => since,
            None => {
                self.learn(Fact::Held { at: now }).await?;
                now
            }
        };
        let limit = since + self.settings.pause_limit;
        if now < limit {
            return Ok(self.until(limit.min(now + self.settings.probe_every / 3)));
        }
        // A refusal from before this attempt says nothing about it.
        let waited = now.since(since);
        let failed_at = self.process.whmcs.failed_at();
        let age = failed_at.map(|at| self.ports.clock.monotonic().saturating_sub(at));
        if age.is_none_or(|age| age > waited) {
            match self.probe_whmcs().await {
                Ok(()) => return Ok(Flow::Continue),
                Err(CallError::Denied { .. } | CallError::Refused(_)) => {}
                Err(CallError::NotSent {
                    retry_after,
                    source,
                }) => return self.retry(retry_after, &*source).await,
                Err(CallError::Unknown { source }) => return self.retry(None, &*source).await,
            }
        }
        self.refuse(Refusal::new(Code::WhmcsConfig, detail)).await
    }

    async fn retry(
        &mut self,
        retry_after: Option<Duration>,
        cause: &(dyn std::error::Error + Send + Sync),
    ) -> Result<Flow, StoreError> {
        let Settings {
            backoff_base,
            retry_budget,
            ..
        } = *self.settings;
        let jittered = backoff(
            backoff_base,
            retry_budget / 4,
            self.tries,
            self.ports.entropy.fraction(),
        );
        let wait = retry_after
            .unwrap_or_default()
            .max(jittered)
            .max(backoff_base / 10);
        let took = self.ports.clock.monotonic().saturating_sub(self.step_begun);
        self.spent += took + wait;
        if self.spent > retry_budget {
            let unknown = matches!(
                self.state.progress,
                Progress::Placing {
                    call: Placing::Unknown { .. },
                    ..
                } | Progress::CreatingClient(Placing::Unknown { .. })
            );
            let code = if unknown {
                Code::WhmcsOutcomeUnknown
            } else {
                Code::WhmcsUnavailable
            };
            return self.refuse(Refusal::new(code, cause.to_string())).await;
        }
        self.tries += 1;
        let _stalled = self.process.stalls.enter(System::Whmcs);
        self.ports.clock.sleep(wait).await;
        Ok(Flow::Continue)
    }

    /// `None` when Salesforce may be asked; else when to come back. While it does not answer,
    /// one job asks for all.
    fn salesforce_is_away(&self) -> Option<Flow> {
        let now = self.ports.clock.monotonic();
        let admitted = self
            .process
            .salesforce
            .admits(now, self.settings.probe_every);
        let wait = admitted.err()?;
        Some(Flow::Release(Release {
            after: wait.max(self.crm_backoff()),
            deferral: true,
        }))
    }

    fn crm_backoff(&self) -> Duration {
        let Settings {
            backoff_base,
            backoff_cap,
            ..
        } = *self.settings;
        let fraction = self.ports.entropy.fraction();
        backoff(backoff_base, backoff_cap, self.claimed.deferrals, fraction).max(backoff_base / 2)
    }

    /// Salesforce away never fails an order: the job keeps its facts and yields its slot.
    fn wait_for_crm(&self, error: &CallError) -> Flow {
        tracing::warn!(
            %error, class = error.class(), "Salesforce did not answer; the job waits"
        );
        let asked = match error {
            CallError::NotSent { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        Flow::Release(Release {
            after: self.crm_backoff().max(asked),
            deferral: true,
        })
    }
}
