//! The dry run.
//!
//! Runs the domain's state machine and planner on what a worker would read, and continues after
//! each call as if it had succeeded. Ids that WHMCS has yet to assign are zero.

use domain::failure::Refusal;
use domain::key::{ClientId, CorrelationId, JobId, WhmcsOrderId};
use domain::order::{
    Action, ActivationAction, ClientDecision, ClientLookup, ClientRules, Fact, MarkerCheck,
    MarkerProof, MatchResult, OrderDetails, OrderState, OrderStatus, Phase, PlacedLine, Plan,
    Search, ServiceStatus, Step, Verification, WhmcsOrder, WhmcsService, client_lookup, gone,
    item_reports, match_orders, modules_in, next, next_activation_action, place_order, report,
    resolve_client, verify_placed,
};
use domain::ports::{CatalogueEntry, Clock, ProvisionerReads};
use domain::time::Timestamp;
use runtime::SystemClock;

use super::{NEW_CLIENT, NEW_ORDER, NEW_SERVICE, Planned};
use crate::connect::Systems;
use crate::screen::Stop;

pub(super) struct DryRun<'a> {
    systems: &'a Systems,
    details: &'a OrderDetails,
    state: OrderState,
    /// The running attempt, or the next one.
    job: JobId,
    now: Timestamp,
    marker_proof: Option<MarkerProof>,
    planned: Planned,
}

/// Whether the dry run continues after a step.
enum Flow {
    Continue(Vec<Fact>),
    Fail(Refusal),
    End,
}

impl<'a> DryRun<'a> {
    pub(super) fn new(
        systems: &'a Systems,
        details: &'a OrderDetails,
        state: OrderState,
        marker_proof: Option<MarkerProof>,
    ) -> Self {
        let running = state
            .attempt
            .as_ref()
            .filter(|_| matches!(state.phase, Phase::Working | Phase::Refused(_)));
        Self {
            systems,
            details,
            job: running.map_or_else(JobId::of_operator, |(job, _)| job.clone()),
            state,
            now: SystemClock.now(),
            marker_proof,
            planned: Planned::default(),
        }
    }

    pub(super) async fn run(mut self) -> Result<Planned, Stop> {
        loop {
            let facts = match self.step().await? {
                Flow::Continue(facts) => facts,
                Flow::Fail(refusal) => vec![Fact::Refused(refusal)],
                Flow::End => return Ok(self.planned),
            };
            for fact in &facts {
                self.state = self.state.apply(fact)?;
            }
        }
    }

    async fn step(&mut self) -> Result<Flow, Stop> {
        let at = self.now;
        Ok(match next(&self.state, &self.job) {
            Step::Check => self.check(),
            Step::ResolveClient => self.resolve_client().await?,
            Step::RecordClientUnknown => Flow::Continue(vec![Fact::ClientUnknown { at }]),
            Step::ReconcileClient { .. } => self.reconcile_client().await?,
            Step::PlaceOrder {
                client,
                watermark,
                unknown,
            } => {
                let rules = &self.systems.timing;
                let until = unknown.map(|call| call.expires_at(rules.call_timeout, rules.quiet));
                if let Some(until) = until.filter(|until| at < *until) {
                    self.wait_until(until, "an earlier AddOrder may still take effect");
                }
                self.place(client, watermark).await?
            }
            Step::RecordPlacementUnknown => Flow::Continue(vec![Fact::PlaceUnknown { at }]),
            Step::ReconcilePlacement {
                client, watermark, ..
            } => self.reconcile_placement(client, watermark).await?,
            Step::Verify {
                client,
                order,
                watermark,
            } => self.verify(client, order, watermark).await?,
            Step::RecordActivationUnknown { creating: false } => {
                Flow::Continue(vec![Fact::AcceptUnknown { at }])
            }
            Step::RecordActivationUnknown { creating: true } => {
                Flow::Continue(vec![Fact::CreateUnknown { at }])
            }
            Step::Activate { client, order, .. } => self.activate(client, order).await?,
            Step::Report { refusal } => self.report(refusal),
            Step::Done => Flow::End,
        })
    }

    fn plan(&self) -> Result<Plan, Refusal> {
        Plan::of(&self.details.items, &self.systems.overrides)
    }

    fn wait_until(&mut self, until: Timestamp, why: &str) {
        let text = format!("a worker waits until {}: {why}", runtime::rfc3339(until));
        self.planned.wait.get_or_insert(text);
    }

    fn check(&self) -> Flow {
        let checked = Fact::Checked {
            job: self.job.clone(),
            idem_key: self.details.idem_key.clone(),
            number: self.details.number.clone(),
            account: Some(self.details.account.id),
        };
        let mut facts = vec![checked];
        // An existing WHMCS order is not checked against the current mapping.
        if self.state.whmcs_order().is_none()
            && let Err(refusal) = self.plan()
        {
            facts.push(Fact::Refused(refusal));
        }
        Flow::Continue(facts)
    }

    fn client_rules(&self) -> ClientRules {
        ClientRules {
            create_clients: self.systems.create_clients,
            override_prices: self.systems.override_prices,
        }
    }

    async fn resolve_client(&mut self) -> Result<Flow, Stop> {
        let rules = self.client_rules();
        let lookup = match client_lookup(self.details, rules) {
            Ok(lookup) => lookup,
            Err(refusal) => return Ok(Flow::Fail(refusal)),
        };
        let found = match &lookup {
            ClientLookup::Linked(id) => self.systems.whmcs.client(*id).await?,
            ClientLookup::ByEmail(contact) => {
                self.systems.whmcs.client_by_email(&contact.email).await?
            }
        };
        let decision = match resolve_client(self.details, rules, lookup, found.as_ref()) {
            Ok(decision) => decision,
            Err(refusal) => return Ok(Flow::Fail(refusal)),
        };
        self.planned.actions.extend(decision.action(self.details));
        let client = match decision {
            ClientDecision::Use(client) | ClientDecision::Adopt(client) => client,
            ClientDecision::Create(_) => {
                let link = ClientDecision::Adopt(NEW_CLIENT).action(self.details);
                self.planned.actions.extend(link);
                NEW_CLIENT
            }
        };
        Ok(Flow::Continue(vec![Fact::Client { client }]))
    }

    /// Searches now for what an unknown call may have created. A worker searches twice, so nothing
    /// found is no result yet.
    async fn reconcile_client(&mut self) -> Result<Flow, Stop> {
        let found = match client_lookup(self.details, self.client_rules()) {
            // Staff linked the account meanwhile.
            Ok(ClientLookup::Linked(_)) => return self.resolve_client().await,
            Ok(ClientLookup::ByEmail(contact)) => {
                self.systems.whmcs.client_by_email(&contact.email).await?
            }
            Err(refusal) => return Ok(Flow::Fail(refusal)),
        };
        match found {
            Some(_) => self.resolve_client().await,
            None => {
                let text = "the outcome of AddClient is unknown and no client is found; a worker searches again, then fails with WHMCS_OUTCOME_UNKNOWN";
                self.planned.wait = Some(text.to_owned());
                Ok(Flow::End)
            }
        }
    }

    fn search<'s>(&'s self, plan: &'s Plan, watermark: Option<WhmcsOrderId>) -> Search<'s> {
        Search {
            marker: self.details.marker(),
            plan,
            watermark,
            answered: None,
            marker_proof: self.marker_proof,
            forgotten: &self.state.forgotten,
        }
    }

    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
    ) -> Result<Vec<WhmcsOrder>, Stop> {
        match client {
            NEW_CLIENT => Ok(Vec::new()),
            client => Ok(self.systems.whmcs.orders(client, above).await?),
        }
    }

    async fn place(
        &mut self,
        client: ClientId,
        watermark: Option<WhmcsOrderId>,
    ) -> Result<Flow, Stop> {
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(refusal) => return Ok(Flow::Fail(refusal)),
        };
        let orders = self.orders(client, None).await?;
        match match_orders(&self.search(&plan, watermark), &orders) {
            MatchResult::Found(order) => return Ok(Flow::Continue(vec![Fact::Placed { order }])),
            MatchResult::Refused(refusal) => return Ok(Flow::Fail(refusal)),
            MatchResult::Absent => {}
        }
        let catalogue = self.systems.whmcs.catalogue(&plan.products()).await?;
        let catalogue = catalogue.as_deref();
        let placed = place_order(self.details, &plan, client, watermark, &orders, catalogue);
        let placement = match placed {
            Ok(placement) => placement,
            Err(refusal) => return Ok(Flow::Fail(refusal)),
        };
        self.planned
            .actions
            .push(Action::PlaceOrder(placement.order));
        let watermark = placement.watermark;
        Ok(Flow::Continue(vec![
            Fact::Placing {
                at: self.now,
                watermark,
            },
            Fact::Placed { order: NEW_ORDER },
        ]))
    }

    async fn reconcile_placement(
        &mut self,
        client: ClientId,
        watermark: WhmcsOrderId,
    ) -> Result<Flow, Stop> {
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(refusal) => return Ok(Flow::Fail(refusal)),
        };
        let orders = self.orders(client, Some(watermark)).await?;
        match match_orders(&self.search(&plan, Some(watermark)), &orders) {
            MatchResult::Found(order) => Ok(Flow::Continue(vec![Fact::Placed { order }])),
            MatchResult::Refused(refusal) => Ok(Flow::Fail(refusal)),
            MatchResult::Absent => {
                let text = "the outcome of AddOrder is unknown and no order is found; a worker searches again, then fails with WHMCS_OUTCOME_UNKNOWN";
                self.planned.wait = Some(text.to_owned());
                Ok(Flow::End)
            }
        }
    }

    async fn verify(
        &mut self,
        client: ClientId,
        order: WhmcsOrderId,
        watermark: Option<WhmcsOrderId>,
    ) -> Result<Flow, Stop> {
        let plan = match self.plan() {
            Ok(plan) => plan,
            Err(refusal) => return Ok(Flow::Fail(refusal)),
        };
        let marker = MarkerCheck::Unchecked;
        if order == NEW_ORDER {
            let lines = plan.lines.iter().map(|line| PlacedLine {
                marker: line.marker,
                service: NEW_SERVICE,
            });
            let lines = lines.collect();
            return Ok(Flow::Continue(vec![Fact::Verified { lines, marker }]));
        }
        let above = watermark.filter(|watermark| order > *watermark);
        let orders = self.orders(client, above).await?;
        let verified = verify_placed(self.search(&plan, above), client, order, &orders);
        Ok(match verified {
            Ok(Verification::Verified { lines, .. }) => {
                Flow::Continue(vec![Fact::Verified { lines, marker }])
            }
            Ok(Verification::Replaced(order)) => Flow::Continue(vec![Fact::Placed { order }]),
            Err(refusal) => Flow::Fail(refusal),
        })
    }

    /// Every activation call, on a copy of the order in which each call succeeds.
    async fn activate(&mut self, client: ClientId, order: WhmcsOrderId) -> Result<Flow, Stop> {
        let mut seen = match order {
            NEW_ORDER => new_order(client, &self.state),
            order => match self.systems.whmcs.order(client, order).await? {
                Some(seen) => seen,
                None => return Ok(Flow::Fail(gone(order))),
            },
        };
        let catalogue: Vec<CatalogueEntry> = match seen.products().as_slice() {
            [] => Vec::new(),
            products => (self.systems.whmcs.catalogue(products).await?).unwrap_or_default(),
        };
        let mut at = self.now;
        loop {
            let Step::Activate { progress, .. } = next(&self.state, &self.job) else {
                return Ok(Flow::Continue(Vec::new()));
            };
            let quiet = self.systems.timing.quiet;
            let modules = modules_in(&catalogue);
            let facts = match next_activation_action(&progress, &seen, modules, at, quiet) {
                ActivationAction::Done => return Ok(Flow::Continue(vec![Fact::Accepted])),
                ActivationAction::Refuse(refusal) => return Ok(Flow::Fail(refusal)),
                ActivationAction::Wait(until) => {
                    self.wait_until(until, "an activation call may still take effect");
                    at = until;
                    continue;
                }
                ActivationAction::Accept { run_modules } => {
                    let action = Action::AcceptOrder { order, run_modules };
                    self.planned.actions.push(action);
                    seen.status = OrderStatus::Active;
                    for line in &mut seen.lines {
                        line.status = ServiceStatus::Active;
                    }
                    vec![Fact::Accepting { at }, Fact::AcceptAnswered]
                }
                ActivationAction::Create(service) => {
                    self.planned.actions.push(Action::CreateService(service));
                    let line = seen.lines.iter_mut().find(|line| line.service == service);
                    if let Some(line) = line {
                        line.status = ServiceStatus::Active;
                    }
                    vec![Fact::Creating { at, service }, Fact::Created { service }]
                }
            };
            for fact in &facts {
                self.state = std::mem::take(&mut self.state).apply(fact)?;
            }
        }
    }

    fn report(&mut self, refusal: Option<Refusal>) -> Flow {
        let lines = self.state.placed_lines();
        if !self.state.items_reported && !lines.is_empty() {
            let items = item_reports(lines);
            self.planned.actions.push(Action::ReportItems(items));
        }
        let correlation = CorrelationId::new("of the attempt").expect("the text is not blank");
        let order = self.state.whmcs_order();
        match report(refusal.clone(), order, &correlation, self.now, None) {
            Ok(report) => {
                self.planned.refusal = refusal;
                self.planned.actions.push(Action::Report(report));
                Flow::End
            }
            Err(refusal) => Flow::Fail(refusal),
        }
    }
}

/// The order as it would look right after AddOrder.
fn new_order(client: ClientId, state: &OrderState) -> WhmcsOrder {
    let lines = state.placed_lines().iter().map(|line| WhmcsService {
        service: NEW_SERVICE,
        product: None,
        cycle: None,
        status: ServiceStatus::Pending,
        marker: Some(line.marker),
    });
    WhmcsOrder {
        id: NEW_ORDER,
        client,
        status: OrderStatus::Pending,
        notes: String::new(),
        lines: lines.collect(),
    }
}
