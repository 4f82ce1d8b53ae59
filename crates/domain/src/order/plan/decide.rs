//! The decision that follows from what is known of an order.

use std::fmt;

use crate::failure::Refusal;
use crate::job::JobOutcome;
use crate::key::{CorrelationId, JobId, WhmcsOrderId};
use crate::order::{
    Action, Answers, Effect, Fact, MarkerProof, MatchResult, Observed, OrderDetails, OrderState,
    Plan, PlanRules, Reads, Search, Step, WhmcsOrder, match_orders, next,
};
use crate::time::Timestamp;

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Read these, side by side, and decide again.
    Read(Reads),
    /// Read whether this attempt may still write to the CRM's order, and decide again.
    ReadGuard,
    /// Record this fact; no call is needed.
    Record(Fact),
    /// Commit the action's intent, if it has one, perform it, and record its outcome.
    Act(Action),
    /// Nothing before this time.
    Wait {
        /// Until when.
        until: Timestamp,
        /// Why.
        reason: WaitReason,
    },
    /// The attempt is over: record these facts and finish the job.
    Finish(JobOutcome, Vec<Fact>),
}

/// Why nothing can be done yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitReason {
    /// An AddClient or AddOrder whose reply was lost is searched for at that time.
    NextSearch,
    /// An AddOrder of an earlier attempt may still take effect.
    EarlierOrder,
    /// An activation call may still take effect.
    Activation,
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NextSearch => "a call whose reply was lost is searched for then",
            Self::EarlierOrder => "an earlier AddOrder may still take effect",
            Self::Activation => "an activation call may still take effect",
        })
    }
}

/// Decides every step of one attempt. The worker performs the decisions and records them; a dry
/// run prints them.
#[derive(Clone, Copy, Debug)]
pub struct Planner<'a> {
    /// The attempt's job.
    pub job: &'a JobId,
    /// Its correlation id, for the report.
    pub correlation: &'a CorrelationId,
    /// The order, as the CRM has it.
    pub details: &'a OrderDetails,
    /// Settings.
    pub rules: &'a PlanRules,
    /// The orders that prove that WHMCS keeps our marker; `None` without proof.
    pub marker_proof: Option<MarkerProof>,
}

impl Planner<'_> {
    /// The decision that follows from the facts, what was read since the last one, and what this
    /// attempt's calls answered.
    #[must_use]
    pub fn decide(
        &self,
        state: &OrderState,
        observed: &Observed,
        answers: &Answers,
        now: Timestamp,
    ) -> Decision {
        let moment = Moment {
            planner: self,
            state,
            observed,
            answers,
            now,
        };
        moment
            .decide()
            .unwrap_or_else(|refusal| Decision::Record(Fact::Refused(refusal)))
    }

    /// The facts after WHMCS refused an AddOrder. It can refuse after the row was written, so the
    /// client's orders above `watermark` are searched once before the refusal is trusted; `orders`
    /// is `None` when they could not be read.
    #[must_use]
    pub fn after_refused_order(
        &self,
        state: &OrderState,
        watermark: WhmcsOrderId,
        orders: Option<&[WhmcsOrder]>,
        refusal: Refusal,
        now: Timestamp,
    ) -> Vec<Fact> {
        let unknown = Fact::PlaceUnknown { at: now };
        let Some(orders) = orders else {
            return vec![unknown];
        };
        let Ok(plan) = self.plan() else {
            return vec![unknown];
        };
        match match_orders(&self.search(state, &plan, Some(watermark)), orders) {
            MatchResult::Found(order) => vec![Fact::Placed { order }],
            MatchResult::Absent => vec![Fact::NotPlaced, Fact::Refused(refusal)],
            MatchResult::Refused(uncertain) => vec![unknown, Fact::Refused(uncertain)],
        }
    }

    pub(super) fn plan(&self) -> Result<Plan, Refusal> {
        Plan::of(&self.details.items, &self.rules.overrides)
    }

    pub(super) fn search<'s>(
        &self,
        state: &'s OrderState,
        plan: &'s Plan,
        watermark: Option<WhmcsOrderId>,
    ) -> Search<'s> {
        Search {
            marker: self.details.marker(),
            plan,
            watermark,
            answered: None,
            marker_proof: self.marker_proof,
            forgotten: &state.forgotten,
        }
    }
}

/// All that one decision depends on.
pub(super) struct Moment<'a> {
    pub(super) planner: &'a Planner<'a>,
    pub(super) state: &'a OrderState,
    pub(super) observed: &'a Observed,
    pub(super) answers: &'a Answers,
    pub(super) now: Timestamp,
}

impl Moment<'_> {
    /// The error is why the attempt fails.
    fn decide(&self) -> Result<Decision, Refusal> {
        let at = self.now;
        match next(self.state, self.planner.job) {
            Step::Check => Ok(self.start()),
            Step::ResolveClient => self.resolve_client(),
            Step::RecordClientUnknown => match self.answers.client {
                Some(client) => self.link_created(client),
                None => Ok(Decision::Record(Fact::ClientUnknown { at })),
            },
            Step::ReconcileClient {
                since,
                empty_searches,
            } => self.reconcile_client(since, empty_searches),
            Step::PlaceOrder {
                client,
                watermark,
                unknown,
            } => self.place(client, watermark, unknown),
            Step::RecordPlacementUnknown => Ok(Decision::Record(Fact::PlaceUnknown { at })),
            Step::ReconcilePlacement {
                client,
                watermark,
                since,
                empty_searches,
            } => self.reconcile_placement(client, watermark, since, empty_searches),
            Step::Verify {
                client,
                order,
                watermark,
            } => self.verify(client, order, watermark),
            Step::RecordActivationUnknown { creating } => Ok(Decision::Record(match creating {
                false => Fact::AcceptUnknown { at },
                true => Fact::CreateUnknown { at },
            })),
            Step::Activate {
                client,
                order,
                progress,
            } => self.activate(client, order, &progress),
            Step::Report { refusal } => self.report(refusal),
            // Reporting and finishing the job are one commit, so only a job of an older release can
            // get here.
            Step::Done => Ok(Decision::Finish(JobOutcome::Succeeded, Vec::new())),
        }
    }

    fn start(&self) -> Decision {
        let details = self.planner.details;
        Decision::Record(Fact::Checked {
            job: self.planner.job.clone(),
            idem_key: details.idem_key.clone(),
            number: details.number.clone(),
            account: Some(details.account.id),
        })
    }

    pub(super) fn wait_for_search(&self, since: Timestamp) -> Option<Decision> {
        let until = since + self.planner.rules.quiet_period;
        (self.now < until).then_some(Decision::Wait {
            until,
            reason: WaitReason::NextSearch,
        })
    }
}

pub(super) fn effect(effect: Effect) -> Decision {
    Decision::Act(Action::Effect(effect))
}
