//! Activating a placed order: accepting it and creating the services that are still pending.
//!
//! AcceptOrder and ModuleCreate cannot be repeated blindly: neither WHMCS nor most modules lock,
//! and a second call can create a second server. So every action follows a read-back.

use std::time::Duration;

use crate::failure::{Code, Refusal};
use crate::key::ServiceId;
use crate::order::{Fact, OrderStatus, ServiceStatus, WhmcsOrder, WhmcsService};
use crate::ports::ModuleKind;
use crate::time::Timestamp;

/// State of the activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActivationState {
    /// Nothing was tried.
    NotStarted,
    /// An intent was recorded, its outcome was not.
    InFlight {
        /// When.
        at: Timestamp,
        /// The service, for ModuleCreate; `None` for AcceptOrder.
        service: Option<ServiceId>,
        /// The state before the intent.
        prior: Box<ActivationState>,
    },
    /// A call may have taken effect.
    Unknown {
        /// When that was recorded.
        at: Timestamp,
        /// Services whose call was answered in this attempt, with the reported failure.
        tried: Vec<(ServiceId, Option<String>)>,
    },
    /// AcceptOrder answered success.
    Answered,
    /// AcceptOrder reported a failure in this attempt.
    Failed {
        /// The reported failures, one text per call.
        texts: Vec<String>,
    },
    /// Pending services are created one by one.
    Creating {
        /// Services tried in this attempt, with the reported failure.
        tried: Vec<(ServiceId, Option<String>)>,
    },
}

/// Maximum number of calls with an unknown outcome in one attempt; then the operator decides.
pub const MAX_UNKNOWN_CALLS: u32 = 3;

/// Progress of the activation in this attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActivationProgress {
    /// State of the last call.
    pub set_up: ActivationState,
    /// Calls of this attempt whose outcome is unknown.
    pub unknown_calls: u32,
}

impl ActivationState {
    /// The state a new attempt starts from. If the last attempt reported a module failure
    /// (`module_failed`), the operator's retry allows creating what is pending. An unknown outcome
    /// stays unknown.
    #[must_use]
    pub(crate) fn reopened(self, module_failed: bool) -> Self {
        match self {
            Self::InFlight { at, .. } | Self::Unknown { at, .. } => Self::Unknown {
                at,
                tried: Vec::new(),
            },
            Self::Failed { .. } | Self::Creating { .. } => Self::Creating { tried: Vec::new() },
            Self::NotStarted | Self::Answered if module_failed => {
                Self::Creating { tried: Vec::new() }
            }
            Self::NotStarted | Self::Answered => self,
        }
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(self, Self::InFlight { .. })
    }

    /// The state after a fact about the activation; `None` when the fact cannot follow.
    pub(crate) fn transition(self, fact: &Fact) -> Option<Self> {
        match (self, fact) {
            (
                Self::InFlight {
                    prior,
                    service: None,
                    ..
                },
                Fact::NotAccepted,
            ) => Some(*prior),
            (Self::InFlight { service: None, .. }, Fact::AcceptAnswered) => Some(Self::Answered),
            (
                Self::InFlight {
                    service: None,
                    prior,
                    ..
                },
                Fact::AcceptFailed { text },
            ) => {
                let mut texts = match *prior {
                    Self::Failed { texts } => texts,
                    _ => Vec::new(),
                };
                texts.push(text.clone());
                Some(Self::Failed { texts })
            }
            (
                Self::InFlight {
                    service: None,
                    prior,
                    ..
                },
                Fact::AcceptUnknown { at },
            ) => Some(Self::Unknown {
                at: *at,
                tried: prior.tried(),
            }),
            (
                Self::InFlight {
                    prior,
                    service: Some(_),
                    ..
                },
                Fact::NotCreated,
            ) => Some(*prior),
            (
                Self::InFlight {
                    prior,
                    service: Some(intended),
                    ..
                },
                Fact::Created { service },
            ) if intended == *service => Some(Self::after_create(*prior, *service, None)),
            (
                Self::InFlight {
                    prior,
                    service: Some(intended),
                    ..
                },
                Fact::CreateFailed { service, text },
            ) if intended == *service => {
                Some(Self::after_create(*prior, *service, Some(text.clone())))
            }
            (
                Self::InFlight {
                    service: Some(_),
                    prior,
                    ..
                },
                Fact::CreateUnknown { at },
            ) => Some(Self::Unknown {
                at: *at,
                tried: prior.tried(),
            }),
            (Self::InFlight { .. }, _) => None,
            (prior, Fact::Accepting { at }) => Some(Self::InFlight {
                at: *at,
                service: None,
                prior: Box::new(prior),
            }),
            (prior, Fact::Creating { at, service }) => Some(Self::InFlight {
                at: *at,
                service: Some(*service),
                prior: Box::new(prior),
            }),
            _ => None,
        }
    }

    fn after_create(prior: Self, service: ServiceId, failure: Option<String>) -> Self {
        let mut tried = prior.tried();
        tried.push((service, failure));
        Self::Creating { tried }
    }

    /// The services whose ModuleCreate was answered in this attempt.
    fn tried(self) -> Vec<(ServiceId, Option<String>)> {
        match self {
            Self::Creating { tried } | Self::Unknown { tried, .. } => tried,
            _ => Vec::new(),
        }
    }
}

/// The action that follows a read-back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ActivationAction {
    /// Everything is active.
    Done,
    /// Call AcceptOrder.
    Accept {
        /// Whether to run the modules; `false` when every service is already active.
        run_modules: bool,
    },
    /// Call ModuleCreate for this service.
    Create(ServiceId),
    /// Read back again at this time.
    Wait(Timestamp),
    /// Fail: only an operator can continue.
    Refuse(Refusal),
}

/// Decides the next action from a read-back.
///
/// `module` returns whether a line's module is listed as idempotent, absent or neither. `quiet` is
/// how long an unknown call may still take effect.
#[must_use]
pub fn next_activation_action(
    so_far: &ActivationProgress,
    seen: &WhmcsOrder,
    module: impl Fn(&WhmcsService) -> ModuleKind,
    now: Timestamp,
    quiet: Duration,
) -> ActivationAction {
    if let Some(refusal) = ended_by_staff(seen) {
        return ActivationAction::Refuse(refusal);
    }
    let set_up = &so_far.set_up;
    let pending: Vec<_> = seen
        .lines
        .iter()
        .filter(|line| line.status == ServiceStatus::Pending)
        .collect();
    if pending.is_empty() && seen.status == OrderStatus::Active {
        return ActivationAction::Done;
    }
    if let ActivationState::Unknown { at, .. } | ActivationState::InFlight { at, .. } = set_up {
        if now < *at + quiet {
            return ActivationAction::Wait(*at + quiet);
        }
        if so_far.unknown_calls >= MAX_UNKNOWN_CALLS {
            return unanswered(seen, so_far.unknown_calls);
        }
    }
    if pending.is_empty() {
        return all_services_active(set_up, seen);
    }
    let all = |kind: ModuleKind| pending.iter().all(|line| module(line) == kind);
    let repeatable = pending
        .iter()
        .all(|line| module(line) != ModuleKind::Unlisted);
    let tried = match set_up {
        ActivationState::Creating { tried } | ActivationState::Unknown { tried, .. } => {
            tried.as_slice()
        }
        _ => &[],
    };
    // ModuleCreate does nothing for a service without a module; AcceptOrder activates it. A call
    // that was answered in this attempt is tried again only in a new attempt.
    let first = pending
        .iter()
        .filter(|line| module(line) != ModuleKind::None)
        .find(|line| !tried.iter().any(|(id, _)| *id == line.service))
        .map(|line| line.service);
    let accept_again = all(ModuleKind::None) && seen.status == OrderStatus::Pending;
    match set_up {
        ActivationState::NotStarted if seen.status == OrderStatus::Pending => {
            ActivationAction::Accept { run_modules: true }
        }
        ActivationState::Unknown { .. }
        | ActivationState::InFlight { .. }
        | ActivationState::Creating { .. }
            if accept_again =>
        {
            ActivationAction::Accept { run_modules: true }
        }
        ActivationState::NotStarted
        | ActivationState::Answered
        | ActivationState::Unknown { .. }
        | ActivationState::InFlight { .. }
            if repeatable =>
        {
            match first {
                Some(service) => ActivationAction::Create(service),
                None if tried.is_empty() => still_pending(seen, &pending),
                None => failed(seen, creation_report(&pending, tried)),
            }
        }
        ActivationState::Unknown { .. } | ActivationState::InFlight { .. } => {
            ActivationAction::Refuse(Refusal::new(
                Code::WhmcsOutcomeUnknown,
                format!(
                    "WHMCS order {}: the answer to creating {} was lost and it is still Pending; it may have been created",
                    seen.id,
                    services(&pending)
                ),
            ))
        }
        ActivationState::NotStarted | ActivationState::Answered => still_pending(seen, &pending),
        ActivationState::Failed { texts } => failed(
            seen,
            format!("{} not created: {}", services(&pending), texts.join("; ")),
        ),
        ActivationState::Creating { .. } => match first {
            Some(service) => ActivationAction::Create(service),
            None => failed(seen, creation_report(&pending, tried)),
        },
    }
}

fn all_services_active(set_up: &ActivationState, seen: &WhmcsOrder) -> ActivationAction {
    match set_up {
        ActivationState::Answered => failed(
            seen,
            "AcceptOrder answered success but the order is still Pending".to_owned(),
        ),
        ActivationState::Failed { texts } if texts.len() > 1 => failed(seen, texts.join("; ")),
        _ => ActivationAction::Accept { run_modules: false },
    }
}

fn ended_by_staff(seen: &WhmcsOrder) -> Option<Refusal> {
    let mismatch = |detail: String| {
        Some(Refusal::new(
            Code::WhmcsOrderMismatch,
            format!("WHMCS order {}: {detail}", seen.id),
        ))
    };
    match &seen.status {
        OrderStatus::Pending | OrderStatus::Active => {}
        OrderStatus::Cancelled => return mismatch("it was cancelled".to_owned()),
        OrderStatus::Fraud => return mismatch("it was marked as fraud".to_owned()),
        OrderStatus::Other(status) => {
            return mismatch(format!("its status is `{status}`, which is unknown"));
        }
    }
    seen.lines.iter().find_map(|line| match &line.status {
        ServiceStatus::Other(status) => {
            mismatch(format!("its service {} is {status}", line.service))
        }
        ServiceStatus::Pending | ServiceStatus::Active => None,
    })
}

fn unanswered(seen: &WhmcsOrder, calls: u32) -> ActivationAction {
    ActivationAction::Refuse(Refusal::new(
        Code::WhmcsOutcomeUnknown,
        format!(
            "WHMCS order {}: {calls} activation calls got no answer, and it is not complete",
            seen.id
        ),
    ))
}

fn still_pending(seen: &WhmcsOrder, pending: &[&WhmcsService]) -> ActivationAction {
    failed(
        seen,
        format!(
            "the order is accepted but {} is still Pending",
            services(pending)
        ),
    )
}

fn failed(seen: &WhmcsOrder, detail: String) -> ActivationAction {
    ActivationAction::Refuse(Refusal::new(
        Code::WhmcsModuleFailed,
        format!("WHMCS order {}: {detail}", seen.id),
    ))
}

fn creation_report(pending: &[&WhmcsService], tried: &[(ServiceId, Option<String>)]) -> String {
    pending
        .iter()
        .map(|line| {
            let failure = tried.iter().find(|(id, _)| *id == line.service);
            match failure.and_then(|(_, text)| text.as_deref()) {
                Some(text) => format!("service {}: {text}", line.service),
                None => format!("service {} is still Pending", line.service),
            }
        })
        .collect::<Vec<_>>()
        .join("; ")
}

fn services(lines: &[&WhmcsService]) -> String {
    let ids: Vec<_> = lines.iter().map(|line| line.service.to_string()).collect();
    let word = if ids.len() == 1 {
        "service"
    } else {
        "services"
    };
    format!("{word} {}", ids.join(", "))
}
