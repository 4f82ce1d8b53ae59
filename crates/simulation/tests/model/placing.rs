//! Intent, call, late effect, search and retry: never a second order.

use domain::failure::{Code, Refusal};
use domain::id::{OrderId, OrgId};
use domain::key::{ClientId, Marker, WhmcsOrderId};
use domain::order::{
    Fact, MarkerProof, MatchResult, OrderState, OrderStatus, Plan, Search, ServiceStatus, Step,
    WhmcsOrder, WhmcsService, match_orders, next,
};
use domain::time::Timestamp;
use stateright::{Checker, HasDiscoveries, Model, Property};
use testkit::{details, order_id};

use crate::{TICK, at, job};

const TIMEOUT: u8 = 1;
const QUIET: u8 = 1;
/// A call may take effect until this long after it was sent.
const WINDOW: u8 = TIMEOUT + 2 * QUIET;
const LAST_TICK: u8 = 7;
const ATTEMPTS: u8 = 2;
/// Longer histories only repeat themselves.
const FACTS: usize = 16;

/// The disabled rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Variant {
    AsBuilt,
    /// An error page after the effect counts as a call without effect, and the watermark is
    /// dropped.
    PageMeansNoEffect,
    /// One kept marker is proof forever.
    PermanentMarkerProof,
    /// A retry does not wait for the rest of the window.
    NoEffectWindow,
    /// A crash loses an intent without an outcome.
    IntentForgotten,
    /// A retry counts the window of a call without an outcome from its intent.
    WindowFromIntent,
}

struct PlacingModel(Variant);

/// A recorded fact, small enough to be compared and hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Recorded {
    Checked(u8),
    Client,
    Placing { at: u8, watermark: u8 },
    NotPlaced,
    PlaceUnknown(u8),
    SearchedEmpty(u8),
    Placed(u8),
    Refused(Code),
    Reported,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Worker {
    Ready,
    /// An intent was committed and nothing was sent.
    Intends,
    /// A call was sent and not answered.
    Waits {
        sent: u8,
    },
    Dead,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Order {
    ours: bool,
    marked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    worker: Worker,
    facts: Vec<Recorded>,
    orders: Vec<Order>,
    /// Send times of calls that may still take effect.
    in_flight: Vec<u8>,
    notes_kept: bool,
    /// The range of orders that kept their marker, and whether any ever did.
    kept: Option<(u8, u8)>,
    ever_kept: bool,
    attempt: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Tick,
    /// The worker takes its next step.
    Work,
    Send,
    /// The call takes effect and is answered.
    Answer,
    /// The call takes effect and an error page is returned.
    Page,
    /// The call takes effect and a WHMCS error is returned.
    LateRefusal,
    /// Nothing is returned.
    GiveUp,
    /// A call without a waiting caller takes effect.
    Land,
    Die,
    Restart,
    /// Salesforce does not show the order: the job fails before its next step.
    OrderNotFound,
    /// The operator retries.
    Retry,
    /// An upgrade stops keeping notes.
    LoseNotes,
    /// Another order of the same client is placed, answered and read back.
    Sibling,
}

fn tick_of(time: Timestamp) -> u8 {
    u8::try_from(time.since(Timestamp::default()).as_secs()).unwrap_or(u8::MAX)
}

fn marker(order: OrderId) -> String {
    let org = OrgId::parse("00D000000000001").expect("valid org id");
    Marker { org, order }.to_string()
}

impl Recorded {
    fn fact(self) -> Fact {
        match self {
            Self::Checked(attempt) => Fact::Checked {
                job: job(attempt),
                idem_key: None,
                number: None,
                account: None,
            },
            Self::Client => Fact::Client {
                client: ClientId(7),
            },
            Self::Placing {
                at: tick,
                watermark,
            } => Fact::Placing {
                at: at(tick),
                watermark: WhmcsOrderId(watermark.into()),
            },
            Self::NotPlaced => Fact::NotPlaced,
            Self::PlaceUnknown(tick) => Fact::PlaceUnknown { at: at(tick) },
            Self::SearchedEmpty(tick) => Fact::SearchedEmpty { at: at(tick) },
            Self::Placed(order) => Fact::Placed {
                order: WhmcsOrderId(order.into()),
            },
            Self::Refused(code) => Fact::Refused(Refusal::new(code, "")),
            Self::Reported => Fact::Reported,
        }
    }
}

impl State {
    fn folded(&self) -> OrderState {
        let facts: Vec<_> = self.facts.iter().map(|recorded| recorded.fact()).collect();
        OrderState::replay(&facts).expect("the model records what production would")
    }

    fn next(&self) -> Step {
        next(&self.folded(), &job(self.attempt))
    }

    /// Whether the attempt is over: an order that Salesforce does not show gets no report.
    fn failed(&self) -> bool {
        let last = self.facts.last();
        last == Some(&Recorded::Reported) || last == Some(&Recorded::Refused(Code::OrderNotFound))
    }

    /// When the last intent was recorded.
    fn intended_at(&self) -> u8 {
        let intent = |fact: &Recorded| match fact {
            Recorded::Placing { at, .. } => Some(*at),
            _ => None,
        };
        self.facts.iter().rev().find_map(intent).unwrap_or(self.now)
    }

    fn place(&mut self, ours: bool) -> u8 {
        let marked = self.notes_kept;
        self.orders.push(Order { ours, marked });
        u8::try_from(self.orders.len()).unwrap_or(u8::MAX)
    }

    /// Records that an order was answered and read back.
    fn read_back(&mut self, id: u8) {
        let marked = self.orders[usize::from(id) - 1].marked;
        self.ever_kept |= marked;
        self.kept = match (marked, self.kept) {
            (true, Some((from, _))) => Some((from, id)),
            (true, None) => Some((id, id)),
            (false, _) => None,
        };
    }

    fn search(&self, variant: Variant, watermark: Option<WhmcsOrderId>) -> MatchResult {
        let orders: Vec<_> = self.orders.iter().zip(1_u64..).map(whmcs_order).collect();
        let kept = match variant {
            Variant::PermanentMarkerProof if self.ever_kept => Some(MarkerProof {
                from: WhmcsOrderId(0),
                to: WhmcsOrderId(u64::MAX),
            }),
            _ => self.kept.map(|(from, to)| MarkerProof {
                from: WhmcsOrderId(from.into()),
                to: WhmcsOrderId(to.into()),
            }),
        };
        let plan = Plan::of(&details(order_id(1)).items, &Default::default());
        let search = Search {
            marker: Marker {
                org: details(order_id(1)).org,
                order: order_id(1),
            },
            plan: &plan.expect("the test order is mapped"),
            watermark,
            answered: None,
            marker_proof: kept,
            forgotten: &[],
        };
        match_orders(&search, &orders)
    }
}

fn whmcs_order((order, id): (&Order, u64)) -> WhmcsOrder {
    let notes = match (order.ours, order.marked) {
        (_, false) => String::new(),
        (true, true) => marker(order_id(1)),
        (false, true) => marker(order_id(2)),
    };
    let lines = [1, 2].map(|unit| WhmcsService {
        service: domain::key::ServiceId(10 * id + unit),
        product: None,
        cycle: None,
        status: ServiceStatus::Pending,
        marker: None,
    });
    WhmcsOrder {
        id: WhmcsOrderId(id),
        client: ClientId(7),
        status: OrderStatus::Pending,
        notes,
        lines: lines.to_vec(),
    }
}

impl PlacingModel {
    /// One step of the worker, as `provisioning` takes it; `None` when it has to wait.
    fn work(&self, state: &mut State) -> Option<()> {
        let (timeout, quiet) = (TICK * u32::from(TIMEOUT), TICK * u32::from(QUIET));
        match state.next() {
            Step::Check => state.facts.push(Recorded::Checked(state.attempt)),
            Step::ResolveClient => state.facts.push(Recorded::Client),
            Step::RecordPlacementUnknown => {
                let since = match self.0 {
                    Variant::WindowFromIntent if state.attempt > 1 => state.intended_at(),
                    _ => state.now,
                };
                state.facts.push(Recorded::PlaceUnknown(since));
            }
            Step::PlaceOrder {
                watermark, unknown, ..
            } => {
                let forgets = self.0 == Variant::PageMeansNoEffect;
                let watermark = watermark.filter(|_| !forgets);
                let found = self.found(state, watermark);
                if let Some(recorded) = found {
                    state.facts.push(recorded);
                    return Some(());
                }
                let over = unknown.map(|call| call.expires_at(timeout, quiet));
                let open = over.is_some_and(|over| state.now < tick_of(over));
                if open && self.0 != Variant::NoEffectWindow {
                    return None;
                }
                let highest = u8::try_from(state.orders.len()).unwrap_or(u8::MAX);
                let watermark = watermark.and_then(|id| u8::try_from(id.0).ok());
                state.facts.push(Recorded::Placing {
                    at: state.now,
                    watermark: watermark.unwrap_or(highest),
                });
                state.worker = Worker::Intends;
            }
            Step::ReconcilePlacement {
                watermark,
                since,
                empty_searches,
                ..
            } => {
                if empty_searches >= 2 {
                    state
                        .facts
                        .push(Recorded::Refused(Code::WhmcsOutcomeUnknown));
                    return Some(());
                }
                if state.now < tick_of(since) + QUIET {
                    return None;
                }
                let found = self.found(state, Some(watermark));
                let empty = Recorded::SearchedEmpty(state.now);
                state.facts.push(found.unwrap_or(empty));
            }
            Step::Report { .. } => state.facts.push(Recorded::Reported),
            _ => return None,
        }
        Some(())
    }

    fn found(&self, state: &State, watermark: Option<WhmcsOrderId>) -> Option<Recorded> {
        match state.search(self.0, watermark) {
            MatchResult::Found(order) => Some(Recorded::Placed(u8::try_from(order.0).unwrap_or(0))),
            MatchResult::Refused(refusal) => Some(Recorded::Refused(refusal.code)),
            MatchResult::Absent => None,
        }
    }
}

impl Model for PlacingModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let state = State {
            now: 0,
            worker: Worker::Ready,
            facts: Vec::new(),
            orders: Vec::new(),
            in_flight: Vec::new(),
            notes_kept: true,
            kept: None,
            ever_kept: false,
            attempt: 1,
        };
        let mut proven = state.clone();
        let id = proven.place(false);
        proven.read_back(id);
        let dropping = State {
            notes_kept: false,
            ..state.clone()
        };
        vec![state, proven, dropping]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < LAST_TICK {
            actions.push(Action::Tick);
        }
        match state.worker {
            Worker::Ready => actions.push(Action::Work),
            Worker::Intends => actions.push(Action::Send),
            Worker::Waits { .. } => actions.extend([
                Action::Answer,
                Action::Page,
                Action::LateRefusal,
                Action::GiveUp,
            ]),
            Worker::Dead => actions.push(Action::Restart),
        }
        if matches!(state.worker, Worker::Intends | Worker::Waits { .. }) {
            actions.push(Action::Die);
        }
        if !state.in_flight.is_empty() {
            actions.push(Action::Land);
        }
        if state.worker == Worker::Ready && state.next() == Step::RecordPlacementUnknown {
            actions.push(Action::OrderNotFound);
        }
        if state.failed() && state.attempt < ATTEMPTS {
            actions.push(Action::Retry);
        }
        if state.notes_kept {
            actions.push(Action::LoseNotes);
        }
        if state.orders.iter().filter(|order| !order.ours).count() < 2 {
            actions.push(Action::Sibling);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        match action {
            Action::Tick => {
                state.now += 1;
                let now = state.now;
                state.in_flight.retain(|sent| now < sent + WINDOW);
                // No call waits longer than the timeout.
                if let Worker::Waits { sent } = state.worker
                    && now > sent + TIMEOUT
                {
                    return None;
                }
            }
            Action::Work => self.work(&mut state)?,
            Action::Send => {
                state.in_flight.push(state.now);
                state.worker = Worker::Waits { sent: state.now };
            }
            Action::Answer => {
                state.in_flight.pop();
                let id = state.place(true);
                state.read_back(id);
                state.facts.push(Recorded::Placed(id));
                state.worker = Worker::Ready;
            }
            Action::Page => {
                state.in_flight.pop();
                state.place(true);
                let recorded = match self.0 {
                    Variant::PageMeansNoEffect => Recorded::NotPlaced,
                    _ => Recorded::PlaceUnknown(state.now),
                };
                state.facts.push(recorded);
                state.worker = Worker::Ready;
            }
            Action::LateRefusal => {
                state.in_flight.pop();
                let watermark = state.folded().watermark_of(ClientId(7));
                state.place(true);
                match self.found(&state, watermark) {
                    Some(Recorded::Refused(code)) => state
                        .facts
                        .extend([Recorded::PlaceUnknown(state.now), Recorded::Refused(code)]),
                    Some(found) => state.facts.push(found),
                    None => state
                        .facts
                        .extend([Recorded::NotPlaced, Recorded::Refused(Code::WhmcsRejected)]),
                }
                state.worker = Worker::Ready;
            }
            Action::GiveUp => {
                state.facts.push(Recorded::PlaceUnknown(state.now));
                state.worker = Worker::Ready;
            }
            Action::Land => {
                state.in_flight.remove(0);
                state.place(true);
                if let Worker::Waits { .. } = state.worker
                    && state.in_flight.is_empty()
                {
                    // Its own call has taken effect; the answer is another action.
                    return None;
                }
            }
            Action::Die => state.worker = Worker::Dead,
            Action::Restart => {
                state.worker = Worker::Ready;
                if self.0 == Variant::IntentForgotten {
                    state.facts.pop();
                }
            }
            Action::OrderNotFound => state.facts.push(Recorded::Refused(Code::OrderNotFound)),
            Action::Retry => state.attempt += 1,
            Action::LoseNotes => state.notes_kept = false,
            Action::Sibling => {
                let id = state.place(false);
                state.read_back(id);
            }
        }
        Some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.facts.len() <= FACTS
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("one order", |_, state: &State| {
                state.orders.iter().filter(|order| order.ours).count() <= 1
            }),
            Property::sometimes("a late order is adopted", |_, state: &State| {
                let unknown = |fact: &Recorded| matches!(fact, Recorded::PlaceUnknown(_));
                let placed = |fact: &Recorded| matches!(fact, Recorded::Placed(_));
                state.facts.iter().any(unknown) && state.facts.iter().any(placed)
            }),
            Property::sometimes("a retry places the order", |_, state: &State| {
                state.attempt > 1 && matches!(state.facts.last(), Some(Recorded::Placed(_)))
            }),
        ]
    }
}

#[test]
fn no_interleaving_places_second_order() {
    let checker = PlacingModel(Variant::AsBuilt)
        .checker()
        .threads(2)
        .spawn_bfs();
    checker.join().assert_properties();
}

fn gives_a_counterexample(variant: Variant) {
    let checker = PlacingModel(variant).checker().threads(2);
    let checker = checker.finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let path = checker.discovery("one order");
    assert!(path.is_some(), "{variant:?} places no second order");
}

#[test]
fn page_treated_as_no_effect_places_second_order() {
    gives_a_counterexample(Variant::PageMeansNoEffect);
}

#[test]
fn permanent_marker_proof_places_second_order() {
    gives_a_counterexample(Variant::PermanentMarkerProof);
}

#[test]
fn retry_inside_effect_window_places_second_order() {
    gives_a_counterexample(Variant::NoEffectWindow);
}

#[test]
fn window_counted_from_intent_places_second_order() {
    gives_a_counterexample(Variant::WindowFromIntent);
}

#[test]
fn lost_intent_places_second_order() {
    gives_a_counterexample(Variant::IntentForgotten);
}
