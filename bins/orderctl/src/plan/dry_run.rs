//! The dry run.
//!
//! Follows the planner's decisions like a worker, on the same reads, and continues after each call
//! as if it had succeeded. Ids that WHMCS has yet to assign are zero.

use domain::key::{CorrelationId, JobId};
use domain::order::{
    Action, ActivationStatus, Answers, Decision, Effect, Fact, MarkerProof, Observed, OrderDetails,
    OrderGuard, OrderState, OrderStatus, Outcome, Phase, Planner, Read, ServiceStatus, WhmcsOrder,
    WhmcsService,
};
use domain::ports::{Clock, NewOrder, observe};
use domain::time::Timestamp;
use runtime::SystemClock;

use super::{NEW_CLIENT, NEW_ORDER, NEW_SERVICE, Planned};
use crate::connect::Systems;
use crate::screen::Stop;

/// The planned calls for an order in this state.
pub(super) async fn run(
    systems: &Systems,
    details: &OrderDetails,
    state: OrderState,
    marker_proof: Option<MarkerProof>,
) -> Result<Planned, Stop> {
    let running = state
        .attempt
        .as_ref()
        .filter(|_| matches!(state.phase, Phase::Working | Phase::Refused(_)));
    let job = running.map_or_else(JobId::of_operator, |(job, _)| job.clone());
    let correlation = CorrelationId::new("of the attempt").expect("the text is not blank");
    let planner = Planner {
        job: &job,
        correlation: &correlation,
        details,
        rules: &systems.rules,
        marker_proof,
    };
    let mut run = DryRun {
        systems,
        state,
        observed: Observed::default(),
        answers: Answers::default(),
        order: None,
        planned: Planned::default(),
    };
    let mut now = SystemClock.now();
    loop {
        match planner.decide(&run.state, &run.observed, &run.answers, now) {
            // The guard is assumed when it is needed.
            Decision::Read(reads) => {
                run.read(&reads.needed).await?;
                for read in &reads.ahead {
                    // Tried again when it is needed.
                    let _ = run.read(read).await;
                }
            }
            Decision::ReadGuard => run.observed.guard = Some(Some(run.guard())),
            // Nothing found yet: a worker searches twice.
            Decision::Record(Fact::SearchedEmpty { .. }) => {
                let text = "the outcome of the last call is unknown and nothing is found; a worker searches again, then fails with WHMCS_OUTCOME_UNKNOWN";
                run.planned.wait = Some(text.to_owned());
                return Ok(run.planned);
            }
            Decision::Record(fact) => {
                let kept = std::mem::take(&mut run.observed).after(&fact);
                run.apply(&fact)?;
                run.observed = kept;
            }
            Decision::Act(action) => {
                for fact in run.assume_success(&action, now) {
                    run.apply(&fact)?;
                }
                run.planned.actions.push(action);
            }
            Decision::Wait { until, reason } => {
                let text = format!("a worker waits until {}: {reason}", runtime::rfc3339(until));
                run.planned.wait.get_or_insert(text);
                now = until;
            }
            Decision::Finish(..) => return Ok(run.planned),
        }
    }
}

struct DryRun<'a> {
    systems: &'a Systems,
    state: OrderState,
    observed: Observed,
    answers: Answers,
    /// The WHMCS order as the planned calls leave it.
    order: Option<WhmcsOrder>,
    planned: Planned,
}

impl DryRun<'_> {
    fn apply(&mut self, fact: &Fact) -> Result<(), Stop> {
        self.state = std::mem::take(&mut self.state).apply(fact)?;
        self.observed = Observed::default();
        Ok(())
    }

    /// What does not exist yet is not read.
    async fn read(&mut self, read: &Read) -> Result<(), Stop> {
        let seen = &mut self.observed;
        match (read, &self.order) {
            (Read::Client(NEW_CLIENT), _) => seen.client = Some(None),
            (
                Read::Orders {
                    client: NEW_CLIENT, ..
                },
                None,
            ) => seen.orders = Some(Vec::new()),
            (Read::Orders { .. }, Some(order)) => seen.orders = Some(vec![order.clone()]),
            (Read::Order { .. }, Some(order)) => seen.order = Some(Some(order.clone())),
            (read, _) => {
                seen.add(observe(&self.systems.whmcs, read).await?);
                let mut listed = seen.orders.iter().flatten();
                let placed = self.state.whmcs_order();
                let verified = listed.find(|order| Some(order.id) == placed);
                self.order = seen.order.clone().flatten().or_else(|| verified.cloned());
            }
        }
        Ok(())
    }

    /// The dry run assumes that the order is still ours.
    fn guard(&self) -> OrderGuard {
        let attempt = self.state.attempt.as_ref();
        OrderGuard {
            activation: ActivationStatus::Activating,
            idem_key: attempt.and_then(|(_, idem_key)| idem_key.clone()),
            version: None,
            read_at: None,
            status_pending: false,
        }
    }

    /// The facts of a successful call.
    fn assume_success(&mut self, action: &Action, at: Timestamp) -> Vec<Fact> {
        let effect = match action {
            Action::Effect(effect) => effect,
            Action::LinkClient { client, .. } => return vec![Fact::Client { client: *client }],
            Action::ReportItems(_) => return vec![Fact::ItemsReported],
            Action::Report(report) => {
                if let Outcome::Failed { refusal, .. } = &report.outcome {
                    self.planned.refusal = Some(refusal.clone());
                }
                return vec![Fact::Reported];
            }
        };
        let outcome = match effect {
            // Its fact follows when the account is linked.
            Effect::CreateClient(_) => {
                self.answers.client = Some(NEW_CLIENT);
                None
            }
            Effect::PlaceOrder { order, .. } => {
                self.order = Some(new_order(order));
                Some(Fact::Placed { order: NEW_ORDER })
            }
            Effect::AcceptOrder { .. } => {
                if let Some(order) = &mut self.order {
                    order.status = OrderStatus::Active;
                    for line in &mut order.lines {
                        line.status = ServiceStatus::Active;
                    }
                }
                Some(Fact::AcceptAnswered)
            }
            Effect::CreateService(service) => {
                let lines = self.order.iter_mut().flat_map(|order| &mut order.lines);
                for line in lines.filter(|line| line.service == *service) {
                    line.status = ServiceStatus::Active;
                }
                Some(Fact::Created { service: *service })
            }
        };
        std::iter::once(effect.intent(at)).chain(outcome).collect()
    }
}

/// The order as it would look right after AddOrder.
fn new_order(order: &NewOrder) -> WhmcsOrder {
    let lines = order.plan.lines.iter().map(|line| WhmcsService {
        service: NEW_SERVICE,
        product: Some(line.product),
        cycle: Some(line.cycle),
        status: ServiceStatus::Pending,
        marker: Some(line.marker),
    });
    WhmcsOrder {
        id: NEW_ORDER,
        client: order.client,
        status: OrderStatus::Pending,
        notes: order.marker.to_string(),
        lines: lines.collect(),
    }
}
