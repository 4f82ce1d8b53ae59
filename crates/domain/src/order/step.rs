//! What comes next.

use crate::failure::Refusal;
use crate::key::{ClientId, JobId, WhmcsOrderId};
use crate::order::{
    ActivationProgress, ActivationState, OrderState, Phase, Placing, Progress, UnknownCall,
};
use crate::time::Timestamp;

/// The next thing to do for an order. Each ends in at least one fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// See whether the order is `Activating`, and begin the attempt.
    Check,
    /// Find the client, or create it where that is switched on.
    ResolveClient,
    /// A client creation was begun by an owner that died: its outcome is unknown.
    RecordClientUnknown,
    /// Look for the client that an unknown call may have created.
    ReconcileClient {
        /// Since when nothing was heard.
        since: Timestamp,
        /// Complete searches that found nothing.
        empty_searches: u8,
    },
    /// Search for the order, and place it when it is not there.
    Place {
        /// For this client.
        client: ClientId,
        /// The watermark of an earlier AddOrder.
        watermark: Option<WhmcsOrderId>,
        /// An AddOrder of an earlier attempt whose outcome is unknown: none may follow while
        /// that one may still take effect.
        unknown: Option<UnknownCall>,
    },
    /// AddOrder was begun by an owner that died: its outcome is unknown.
    RecordPlacementUnknown,
    /// Look for the order that an unknown AddOrder may have created.
    ReconcilePlacement {
        /// For this client.
        client: ClientId,
        /// Only orders above it can be ours.
        watermark: WhmcsOrderId,
        /// Since when nothing was heard.
        since: Timestamp,
        /// Complete searches that found nothing.
        empty_searches: u8,
    },
    /// Read the order back and compare it with what was asked for.
    Verify {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// Where a second order of ours would lie above; see [`Progress::Placed`].
        watermark: Option<WhmcsOrderId>,
    },
    /// A set-up call was begun by an owner that died: its outcome is unknown.
    RecordActivationUnknown {
        /// Whether it was ModuleCreate; AcceptOrder otherwise.
        creating: bool,
    },
    /// Read back, then accept the order or create what is pending.
    ActivationState {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// How far it has come.
        so_far: ActivationProgress,
    },
    /// Write the outcome to the CRM.
    Report {
        /// Why it failed; `None` for success.
        refusal: Option<Refusal>,
    },
    /// Nothing: the outcome stands in the CRM.
    Done,
}

impl Step {
    /// Stable name, for logs and metric labels.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::ResolveClient => "know_client",
            Self::RecordClientUnknown | Self::ReconcileClient { .. } => "settle_client",
            Self::Place { .. } => "place",
            Self::RecordPlacementUnknown | Self::ReconcilePlacement { .. } => "settle_place",
            Self::Verify { .. } => "verify",
            Self::RecordActivationUnknown { .. } | Self::ActivationState { .. } => "set_up",
            Self::Report { .. } => "report",
            Self::Done => "done",
        }
    }

    /// What follows when a job that stopped before this step goes on, in a few words.
    #[must_use]
    pub const fn after_a_wait(&self) -> &'static str {
        match self {
            Self::ReconcileClient { .. }
            | Self::ReconcilePlacement { .. }
            | Self::Place {
                unknown: Some(_), ..
            } => "next search",
            Self::ActivationState { .. } => "next read-back",
            _ => "next try",
        }
    }

    /// Whether the step cannot be done without the provisioner.
    #[must_use]
    pub const fn asks_provisioner(&self) -> bool {
        matches!(
            self,
            Self::ResolveClient
                | Self::ReconcileClient { .. }
                | Self::Place { .. }
                | Self::ReconcilePlacement { .. }
                | Self::Verify { .. }
                | Self::ActivationState { .. }
        )
    }
}

/// The next step of the attempt that `job` stands for.
#[must_use]
pub fn next(state: &OrderState, job: &JobId) -> Step {
    if state
        .attempt
        .as_ref()
        .is_none_or(|(current, _)| current != job)
    {
        return Step::Check;
    }
    match &state.phase {
        Phase::Requested => return Step::Check,
        Phase::Refused(refusal) => {
            return Step::Report {
                refusal: Some(refusal.clone()),
            };
        }
        Phase::Reported => return Step::Done,
        Phase::Working => {}
    }
    match &state.progress {
        Progress::Nothing => Step::ResolveClient,
        Progress::CreatingClient(Placing::InFlight { .. }) => Step::RecordClientUnknown,
        Progress::CreatingClient(Placing::Unknown { at, empty_searches }) => {
            Step::ReconcileClient {
                since: *at,
                empty_searches: *empty_searches,
            }
        }
        Progress::CreatingClient(Placing::Reopened) => Step::ResolveClient,
        Progress::ClientResolved { client } => Step::Place {
            client: *client,
            watermark: state.watermark_of(*client),
            unknown: None,
        },
        Progress::Placing {
            client,
            watermark,
            unknown,
            call,
        } => match call {
            Placing::InFlight { .. } => Step::RecordPlacementUnknown,
            Placing::Unknown { at, empty_searches } => Step::ReconcilePlacement {
                client: *client,
                watermark: *watermark,
                since: *at,
                empty_searches: *empty_searches,
            },
            Placing::Reopened => Step::Place {
                client: *client,
                watermark: Some(*watermark),
                unknown: *unknown,
            },
        },
        Progress::Placed {
            client,
            order,
            watermark,
        } => Step::Verify {
            client: *client,
            order: *order,
            watermark: *watermark,
        },
        Progress::Activating {
            set_up: ActivationState::InFlight { service, .. },
            ..
        } => Step::RecordActivationUnknown {
            creating: service.is_some(),
        },
        Progress::Activating {
            client,
            order,
            set_up,
            unknown_calls,
            ..
        } => Step::ActivationState {
            client: *client,
            order: *order,
            so_far: ActivationProgress {
                set_up: set_up.clone(),
                unknown_calls: *unknown_calls,
            },
        },
        Progress::Accepted { .. } => Step::Report { refusal: None },
    }
}
