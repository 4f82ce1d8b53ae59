//! The next step of an attempt.

use crate::failure::Refusal;
use crate::key::{ClientId, JobId, WhmcsOrderId};
use crate::order::{
    ActivationProgress, ActivationState, OrderState, Phase, Placing, Progress, UnknownCall,
};
use crate::time::Timestamp;

/// The next step for an order. Each step records at least one fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Check that the order is `Activating` and start the attempt.
    Check,
    /// Find the client, or create it where that is enabled.
    ResolveClient,
    /// A worker crashed after recording the intent to create a client: the outcome is unknown.
    RecordClientUnknown,
    /// Search for the client that an unknown call may have created.
    ReconcileClient {
        /// Time of the last search, or when the outcome became unknown.
        since: Timestamp,
        /// Complete searches that found nothing.
        empty_searches: u8,
    },
    /// Search for the order and place it when there is none.
    PlaceOrder {
        /// For this client.
        client: ClientId,
        /// The watermark of an earlier AddOrder.
        watermark: Option<WhmcsOrderId>,
        /// An AddOrder of an earlier attempt whose outcome is unknown: no other may follow while it
        /// may still take effect.
        unknown: Option<UnknownCall>,
    },
    /// A worker crashed after recording the intent of AddOrder: the outcome is unknown.
    RecordPlacementUnknown,
    /// Search for the order that an unknown AddOrder may have created.
    ReconcilePlacement {
        /// For this client.
        client: ClientId,
        /// Only orders with a higher id can be ours.
        watermark: WhmcsOrderId,
        /// Time of the last search, or when the outcome became unknown.
        since: Timestamp,
        /// Complete searches that found nothing.
        empty_searches: u8,
    },
    /// Read the order back and compare it with the plan.
    Verify {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// A second order of ours would have a higher id; see [`Progress::Placed`].
        watermark: Option<WhmcsOrderId>,
    },
    /// A worker crashed after recording the intent of an activation call: the outcome is unknown.
    RecordActivationUnknown {
        /// Whether it was ModuleCreate; AcceptOrder otherwise.
        creating: bool,
    },
    /// Read back, then accept the order or create what is pending.
    Activate {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// Its progress.
        progress: ActivationProgress,
    },
    /// Write the outcome to the CRM.
    Report {
        /// Why it failed; `None` for success.
        refusal: Option<Refusal>,
    },
    /// Nothing: the outcome was written to the CRM.
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
            Self::PlaceOrder { .. } => "place",
            Self::RecordPlacementUnknown | Self::ReconcilePlacement { .. } => "settle_place",
            Self::Verify { .. } => "verify",
            Self::RecordActivationUnknown { .. } | Self::Activate { .. } => "set_up",
            Self::Report { .. } => "report",
            Self::Done => "done",
        }
    }

    /// What a job that waits before this step does next, in a few words.
    #[must_use]
    pub const fn wait_description(&self) -> &'static str {
        match self {
            Self::ReconcileClient { .. }
            | Self::ReconcilePlacement { .. }
            | Self::PlaceOrder {
                unknown: Some(_), ..
            } => "next search",
            Self::Activate { .. } => "next read-back",
            _ => "next try",
        }
    }

    /// Whether the step calls the provisioner.
    #[must_use]
    pub const fn needs_provisioner(&self) -> bool {
        matches!(
            self,
            Self::ResolveClient
                | Self::ReconcileClient { .. }
                | Self::PlaceOrder { .. }
                | Self::ReconcilePlacement { .. }
                | Self::Verify { .. }
                | Self::Activate { .. }
        )
    }
}

/// The next step of the attempt of `job`.
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
        // Never: a retry forgets a client that was not resolved.
        Progress::CreatingClient(Placing::Reopened | Placing::ReopenedInFlight) => {
            Step::ResolveClient
        }
        Progress::ClientResolved { client } => Step::PlaceOrder {
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
            Placing::InFlight { .. } | Placing::ReopenedInFlight => Step::RecordPlacementUnknown,
            Placing::Unknown { at, empty_searches } => Step::ReconcilePlacement {
                client: *client,
                watermark: *watermark,
                since: *at,
                empty_searches: *empty_searches,
            },
            Placing::Reopened => Step::PlaceOrder {
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
            state: ActivationState::InFlight { service, .. },
            ..
        } => Step::RecordActivationUnknown {
            creating: service.is_some(),
        },
        Progress::Activating {
            client,
            order,
            state,
            unknown_calls,
            ..
        } => Step::Activate {
            client: *client,
            order: *order,
            progress: ActivationProgress {
                state: state.clone(),
                unknown_calls: *unknown_calls,
            },
        },
        Progress::Accepted { .. } => Step::Report { refusal: None },
    }
}
