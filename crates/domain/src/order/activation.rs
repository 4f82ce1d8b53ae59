//! State of activating a placed order: accepting it and creating the services still pending.
//!
//! AcceptOrder and ModuleCreate cannot be repeated blindly: neither WHMCS nor most modules lock,
//! and a second call can create a second server. So every action follows a read-back.

use crate::key::ServiceId;
use crate::order::Fact;
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
    pub state: ActivationState,
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
