//! Runs one attempt of a job.

mod check;
mod effect;
mod read;
mod record;
mod report;
mod wait;

use std::sync::Arc;
use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::job::JobOutcome;
use domain::order::{
    Action, Answers, Decision, Fact, IllegalFact, Observed, OrderDetails, OrderState, Phase,
    Planner, Step, next,
};
use domain::ports::{Claimed, JobChange, JobUpdate, Release, StoreError};
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

/// After a step that took longer, for instance because the store did not answer, nothing that was
/// read before is used any more.
const MAX_AGE: Duration = Duration::from_secs(5);

/// What to do after a step.
enum Flow {
    Continue,
    Release(Release),
    Finish(JobOutcome, Vec<Fact>),
}

/// Runs a claimed job until it finishes or must wait.
///
/// Facts are committed under the lease token before the next step starts, so that the next claim
/// after a crash resumes from there; one that follows from reads alone ([`Fact::is_repeatable`]) is
/// committed beside the next reads, or with the next fact.
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
    let calls = Calls::new(ports, process, &claimed, started);
    let known = claimed.facts.len();
    let mut attempt = Attempt {
        started,
        ports,
        calls,
        settings,
        process,
        claimed,
        guard,
        state,
        known,
        pending: Vec::new(),
        details: None,
        observed: Observed::default(),
        answers: Answers::default(),
        step_started: started,
        spent: Duration::ZERO,
        tries: 0,
        conflicts: 0,
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
        match flow {
            Flow::Continue => {}
            Flow::Release(release) => {
                attempt.end(JobChange::Release(release), &[]).await?;
                return Ok(AttemptResult::Released);
            }
            Flow::Finish(outcome, facts) => {
                attempt.end(JobChange::Finish(outcome), &facts).await?;
                let lease = &attempt.claimed.lease;
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
        known: None,
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
    calls: Calls,
    settings: &'a Settings,
    process: &'a ProcessState,
    claimed: Claimed,
    guard: &'a LeaseGuard,
    /// After all facts, the pending ones included.
    state: OrderState,
    /// How many facts of the order are committed.
    known: usize,
    /// Facts that wait for a commit.
    pending: Vec<Fact>,
    details: Option<OrderDetails>,
    /// What was read in the current step, and what of the previous one still holds.
    observed: Observed,
    answers: Answers,
    /// Monotonic time of the start of the current step.
    step_started: Duration,
    /// The used part of the retry budget: the time of failed steps and of the delays between them.
    spent: Duration,
    tries: u32,
    conflicts: u32,
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

    /// Reads what the next decision needs, and performs it.
    async fn step(&mut self) -> Result<Flow, StoreError> {
        loop {
            let Some(details) = &self.details else {
                // An order that waits for access to WHMCS is not read again either.
                if self.state.held.is_some()
                    && self.next().needs_provisioner()
                    && let Some(flow) = self.whmcs_refuses().await?
                {
                    return Ok(flow);
                }
                return Ok(self.check_order().await);
            };
            let planner = self.planner(details);
            let decision = planner.decide(&self.state, &self.observed, &self.answers, self.now());
            let calls_whmcs = matches!(
                decision,
                Decision::Read(_) | Decision::Act(Action::Effect(_))
            );
            if calls_whmcs && let Some(flow) = self.whmcs_refuses().await? {
                return Ok(flow);
            }
            // What the decision was based on is outdated once it is performed.
            let seen = std::mem::take(&mut self.observed);
            return match decision {
                Decision::Read(reads) => {
                    self.observed = seen;
                    match self.read(&reads).await? {
                        Ok(()) => continue,
                        Err(error) => {
                            self.observed = Observed::default();
                            self.after_no_effect(error).await
                        }
                    }
                }
                Decision::ReadGuard => match self.guard().await {
                    Ok(guard) => {
                        self.observed = seen;
                        self.observed.guard = Some(guard);
                        continue;
                    }
                    Err(flow) => Ok(flow),
                },
                Decision::Record(fact) => {
                    let kept = seen.after(&fact);
                    let flow = self.note(fact).await?;
                    self.keep(kept);
                    Ok(flow)
                }
                Decision::Act(Action::Effect(effect)) => self.perform(effect).await,
                Decision::Act(Action::LinkClient { account, client }) => {
                    self.link_client(account, client).await
                }
                Decision::Act(Action::ReportItems(items)) => {
                    let kept = seen.after(&Fact::ItemsReported);
                    let flow = self.report_items(&items).await?;
                    self.keep(kept);
                    Ok(flow)
                }
                Decision::Act(Action::Report(report)) => self.report(report).await,
                Decision::Wait { until, reason } => Ok(self.wait(until, reason)),
                Decision::Finish(outcome, facts) => Ok(Flow::Finish(outcome, facts)),
            };
        }
    }

    /// Keeps for the next step what this one read, unless this step was slow.
    fn keep(&mut self, observed: Observed) {
        let now = self.ports.clock.monotonic();
        if now.saturating_sub(self.step_started) <= MAX_AGE {
            self.observed = observed;
        }
    }

    fn planner<'p>(&'p self, details: &'p OrderDetails) -> Planner<'p> {
        Planner {
            job: &self.claimed.job.id,
            correlation: &self.claimed.job.correlation,
            details,
            rules: &self.settings.rules,
            marker_proof: self.claimed.marker_proof,
        }
    }

    /// The current time by the store's clock: the time of the claim plus the time elapsed since.
    /// Our wall clock is not used, so recorded times mean the same on every machine.
    fn now(&self) -> Timestamp {
        let passed = self.ports.clock.monotonic().saturating_sub(self.started);
        self.claimed.at + passed
    }
}
