//! AcceptOrder and ModuleCreate: nothing is built twice, retried after a reported failure without
//! the operator, or called without bound.

use domain::failure::{Code, Refusal};
use domain::key::{ClientId, LineMarker, ServiceId, WhmcsOrderId};
use domain::order::{
    ActivationAction, Fact, MAX_UNKNOWN_CALLS, MarkerCheck, OrderState, OrderStatus, PlacedLine,
    ServiceStatus, Step, WhmcsOrder, WhmcsService, next, next_activation_action,
};
use domain::ports::ModuleKind;
use stateright::{Checker, HasDiscoveries, Model, Property};
use testkit::{details, order_id};

use crate::{TICK, at, job};

/// A call is over once a quiet period has passed since its reply was lost.
const QUIET: u8 = 1;
const LAST_TICK: u8 = 6;
const ATTEMPTS: u8 = 2;
/// Longer histories only repeat themselves.
const FACTS: usize = 19;
const ORDER: WhmcsOrderId = WhmcsOrderId(3);
const SERVICE: ServiceId = ServiceId(9);

/// The disabled rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Variant {
    AsBuilt,
    /// Module errors count as a denial of the bridge: the call had no effect.
    ModuleErrorsDeny,
    /// Calls of unknown outcome are not counted.
    UncountedCalls,
    /// A lost reply counts as a call without effect.
    LostReplyMeansNoEffect,
}

struct ActivatingModel {
    variant: Variant,
    module: ModuleKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Recorded {
    Checked(u8),
    Client,
    Placed,
    Verified,
    Accepting(u8),
    NotAccepted,
    AcceptAnswered,
    AcceptFailed,
    AcceptUnknown(u8),
    Creating(u8),
    NotCreated,
    Created,
    CreateFailed,
    CreateUnknown(u8),
    Accepted,
    Refused(Code),
    Reported,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Worker {
    Ready,
    Waits(Call),
    Dead,
}

/// An activation call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    Accept { run_modules: bool },
    Create,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    now: u8,
    worker: Worker,
    facts: Vec<Recorded>,
    accepted: bool,
    active: bool,
    builds: u8,
    /// The call that may still take effect, and until when.
    in_flight: Option<(u8, Call)>,
    attempt: u8,
    /// In this attempt: the number of calls of unknown outcome, and whether a module failure was
    /// reported.
    unknown: u32,
    reported: bool,
    again_after_report: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Tick,
    Work,
    /// The module builds and its answer arrives.
    Answer,
    /// The module reports a failure.
    Fail,
    /// Nothing is returned; the effect may still come.
    GiveUp,
    Land,
    Die,
    Restart,
    Retry,
    /// Staff accept the order without running its modules.
    AcceptByHand,
}

impl Recorded {
    fn fact(self) -> Fact {
        let text = || "authentication failed".to_owned();
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
            Self::Placed => Fact::Placed { order: ORDER },
            Self::Verified => Fact::Verified {
                lines: vec![PlacedLine {
                    marker: LineMarker {
                        item: details(order_id(1)).items[0].id,
                        unit: 1,
                    },
                    service: SERVICE,
                }],
                marker: MarkerCheck::Kept,
            },
            Self::Accepting(tick) => Fact::Accepting { at: at(tick) },
            Self::NotAccepted => Fact::NotAccepted,
            Self::AcceptAnswered => Fact::AcceptAnswered,
            Self::AcceptFailed => Fact::AcceptFailed { text: text() },
            Self::AcceptUnknown(tick) => Fact::AcceptUnknown { at: at(tick) },
            Self::Creating(tick) => Fact::Creating {
                at: at(tick),
                service: SERVICE,
            },
            Self::NotCreated => Fact::NotCreated,
            Self::Created => Fact::Created { service: SERVICE },
            Self::CreateFailed => Fact::CreateFailed {
                service: SERVICE,
                text: text(),
            },
            Self::CreateUnknown(tick) => Fact::CreateUnknown { at: at(tick) },
            Self::Accepted => Fact::Accepted,
            Self::Refused(code) => Fact::Refused(Refusal::new(code, "")),
            Self::Reported => Fact::Reported,
        }
    }
}

impl State {
    fn next(&self) -> Step {
        let facts: Vec<_> = self.facts.iter().map(|recorded| recorded.fact()).collect();
        let state = OrderState::replay(&facts);
        let state = state.expect("the model records what production would");
        next(&state, &job(self.attempt))
    }

    fn seen(&self) -> WhmcsOrder {
        WhmcsOrder {
            id: ORDER,
            client: ClientId(7),
            status: match self.accepted {
                true => OrderStatus::Active,
                false => OrderStatus::Pending,
            },
            notes: String::new(),
            lines: vec![WhmcsService {
                service: SERVICE,
                product: None,
                cycle: None,
                status: match self.active {
                    true => ServiceStatus::Active,
                    false => ServiceStatus::Pending,
                },
                marker: None,
            }],
        }
    }

    /// Applies the effect of a call, if WHMCS permits it.
    fn take_effect(&mut self, call: Call) {
        match call {
            // The module builds again even if the account exists.
            Call::Create => self.build(),
            // WHMCS accepts an order once, and runs the modules of pending services.
            Call::Accept { run_modules } if !self.accepted => {
                if run_modules && !self.active {
                    self.build();
                }
                self.accepted = true;
            }
            Call::Accept { .. } => {}
        }
    }

    fn build(&mut self) {
        self.builds += 1;
        self.active = true;
    }

    fn call(&mut self, call: Call) {
        let runs_modules = call != Call::Accept { run_modules: false };
        self.again_after_report |= self.reported && runs_modules;
        self.facts.push(match call {
            Call::Create => Recorded::Creating(self.now),
            Call::Accept { .. } => Recorded::Accepting(self.now),
        });
        self.worker = Worker::Waits(call);
    }

    fn unanswered(&mut self, creating: bool) {
        self.unknown += 1;
        self.facts.push(match creating {
            true => Recorded::CreateUnknown(self.now),
            false => Recorded::AcceptUnknown(self.now),
        });
    }
}

impl ActivatingModel {
    fn work(&self, state: &mut State) -> Option<()> {
        match state.next() {
            Step::Check => {
                state.facts.push(Recorded::Checked(state.attempt));
                state.unknown = 0;
                state.reported = false;
            }
            Step::ResolveClient => state.facts.push(Recorded::Client),
            Step::PlaceOrder { .. } => state.facts.push(Recorded::Placed),
            Step::Verify { .. } => state.facts.push(Recorded::Verified),
            Step::RecordActivationUnknown { creating } => state.unanswered(creating),
            Step::Activate { mut progress, .. } => {
                if self.variant == Variant::UncountedCalls {
                    progress.unknown_calls = 0;
                }
                let module = |_: &WhmcsService| self.module;
                let quiet = TICK * u32::from(QUIET);
                match next_activation_action(&progress, &state.seen(), module, at(state.now), quiet)
                {
                    ActivationAction::Done => state.facts.push(Recorded::Accepted),
                    ActivationAction::Accept { run_modules } => {
                        state.call(Call::Accept { run_modules });
                    }
                    ActivationAction::Create(_) => state.call(Call::Create),
                    ActivationAction::Wait(_) => return None,
                    ActivationAction::Refuse(refusal) => {
                        state.facts.push(Recorded::Refused(refusal.code));
                    }
                }
            }
            Step::Report { .. } => state.facts.push(Recorded::Reported),
            _ => return None,
        }
        Some(())
    }
}

impl Model for ActivatingModel {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            now: 0,
            worker: Worker::Ready,
            facts: Vec::new(),
            accepted: false,
            active: false,
            builds: 0,
            in_flight: None,
            attempt: 1,
            unknown: 0,
            reported: false,
            again_after_report: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now < LAST_TICK {
            actions.push(Action::Tick);
        }
        match state.worker {
            Worker::Ready => actions.push(Action::Work),
            Worker::Waits(_) => {
                actions.extend([Action::Answer, Action::Fail, Action::GiveUp, Action::Die]);
            }
            Worker::Dead => actions.push(Action::Restart),
        }
        if state.in_flight.is_some() {
            actions.push(Action::Land);
        }
        let failed = state.facts.last() == Some(&Recorded::Reported)
            && !state.facts.contains(&Recorded::Accepted);
        if failed && state.attempt < ATTEMPTS {
            actions.push(Action::Retry);
        }
        if !state.accepted {
            actions.push(Action::AcceptByHand);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut state = state.clone();
        match (action, state.worker) {
            (Action::Tick, _) => {
                state.now += 1;
                let now = state.now;
                state.in_flight = state.in_flight.filter(|(until, _)| now < *until);
            }
            (Action::Work, _) => self.work(&mut state)?,
            (Action::Answer, Worker::Waits(call)) => {
                let refused = matches!(call, Call::Accept { .. }) && state.accepted;
                (!refused).then_some(())?;
                state.take_effect(call);
                state.worker = Worker::Ready;
                state.facts.push(match call {
                    Call::Create => Recorded::Created,
                    Call::Accept { .. } => Recorded::AcceptAnswered,
                });
            }
            (Action::Fail, Worker::Waits(call)) => {
                state.worker = Worker::Ready;
                state.reported |= call != Call::Accept { run_modules: false };
                state.facts.push(match (self.variant, call) {
                    (Variant::ModuleErrorsDeny, Call::Create) => Recorded::NotCreated,
                    (Variant::ModuleErrorsDeny, Call::Accept { .. }) => Recorded::NotAccepted,
                    (_, Call::Create) => Recorded::CreateFailed,
                    (_, Call::Accept { .. }) => Recorded::AcceptFailed,
                });
            }
            (Action::GiveUp, Worker::Waits(call)) => {
                state.worker = Worker::Ready;
                state.in_flight = Some((state.now + QUIET, call));
                match (self.variant, call) {
                    (Variant::LostReplyMeansNoEffect, Call::Create) => {
                        state.facts.push(Recorded::NotCreated);
                    }
                    (Variant::LostReplyMeansNoEffect, Call::Accept { .. }) => {
                        state.facts.push(Recorded::NotAccepted);
                    }
                    _ => state.unanswered(call == Call::Create),
                }
            }
            (Action::Land, _) => {
                let (_, call) = state.in_flight.take()?;
                state.take_effect(call);
            }
            (Action::Die, Worker::Waits(call)) => {
                state.in_flight = Some((state.now + QUIET, call));
                state.worker = Worker::Dead;
            }
            (Action::Restart, Worker::Dead) => state.worker = Worker::Ready,
            (Action::Retry, _) => state.attempt += 1,
            (Action::AcceptByHand, _) => state.accepted = true,
            _ => return None,
        }
        Some(state)
    }

    fn within_boundary(&self, state: &State) -> bool {
        state.facts.len() <= FACTS && state.builds <= 2
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("built once", |model: &Self, state: &State| {
                state.builds <= 1 || model.module == ModuleKind::Idempotent
            }),
            Property::always("the operator decides", |_, state: &State| {
                !state.again_after_report
            }),
            Property::always("few unknown calls", |_, state: &State| {
                state.unknown <= MAX_UNKNOWN_CALLS
            }),
            Property::sometimes("set up", |_, state: &State| {
                state.facts.contains(&Recorded::Accepted)
            }),
        ]
    }
}

const MODULES: [ModuleKind; 2] = [ModuleKind::Unlisted, ModuleKind::Idempotent];

#[test]
fn no_interleaving_builds_twice_or_bypasses_operator() {
    for module in MODULES {
        let variant = Variant::AsBuilt;
        let model = ActivatingModel { variant, module };
        model
            .checker()
            .threads(2)
            .spawn_bfs()
            .join()
            .assert_properties();
    }
}

fn gives_a_counterexample(variant: Variant, module: ModuleKind, property: &'static str) {
    let model = ActivatingModel { variant, module };
    let checker = model.checker().threads(2);
    let checker = checker.finish_when(HasDiscoveries::AnyOf([property].into()));
    let checker = checker.spawn_bfs().join();
    assert!(
        checker.discovery(property).is_some(),
        "{variant:?} keeps `{property}`"
    );
}

#[test]
fn module_error_treated_as_denial_bypasses_operator() {
    let property = "the operator decides";
    gives_a_counterexample(Variant::ModuleErrorsDeny, ModuleKind::Unlisted, property);
}

#[test]
fn uncounted_unknown_calls_are_unbounded() {
    let property = "few unknown calls";
    gives_a_counterexample(Variant::UncountedCalls, ModuleKind::Idempotent, property);
}

#[test]
fn lost_reply_treated_as_no_effect_builds_twice() {
    let property = "built once";
    gives_a_counterexample(
        Variant::LostReplyMeansNoEffect,
        ModuleKind::Unlisted,
        property,
    );
}
