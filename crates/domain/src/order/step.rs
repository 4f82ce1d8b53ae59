//! The next step of an attempt.

use crate::failure::Refusal;
use crate::key::{ClientId, JobId, WhmcsOrderId};
use crate::order::{OrderState, Phase, Placing, Progress, SetUp, SetUpSoFar, UnknownCall};
use crate::time::Timestamp;

/// The next step for an order. Each step records at least one fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Check that the order is `Activating` and start the attempt.
    Check,
    /// Find the client, or create it where that is enabled.
    KnowClient,
    /// A worker crashed after recording the intent to create a client: the outcome is unknown.
    DoubtClient,
    /// Search for the client that an unknown call may have created.
    SettleClient {
        /// When the outcome became unknown.
        since: Timestamp,
        /// Complete searches that found nothing.
        empty_searches: u8,
    },
    /// Search for the order and place it when there is none.
    Place {
        /// For this client.
        client: ClientId,
        /// The watermark of an earlier AddOrder.
        watermark: Option<WhmcsOrderId>,
        /// An AddOrder of an earlier attempt whose outcome is unknown: no other may follow while it
        /// may still take effect.
        unknown: Option<UnknownCall>,
    },
    /// A worker crashed after recording the intent of AddOrder: the outcome is unknown.
    DoubtPlace,
    /// Search for the order that an unknown AddOrder may have created.
    SettlePlace {
        /// For this client.
        client: ClientId,
        /// Only orders with a higher id can be ours.
        watermark: WhmcsOrderId,
        /// When the outcome became unknown.
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
    DoubtSetUp {
        /// Whether it was ModuleCreate; AcceptOrder otherwise.
        creating: bool,
    },
    /// Read back, then accept the order or create what is pending.
    SetUp {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// Its progress.
        so_far: SetUpSoFar,
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
            Self::KnowClient => "know_client",
            Self::DoubtClient | Self::SettleClient { .. } => "settle_client",
            Self::Place { .. } => "place",
            Self::DoubtPlace | Self::SettlePlace { .. } => "settle_place",
            Self::Verify { .. } => "verify",
            Self::DoubtSetUp { .. } | Self::SetUp { .. } => "set_up",
            Self::Report { .. } => "report",
            Self::Done => "done",
        }
    }

    /// What a job that waits before this step does next, in a few words.
    #[must_use]
    pub const fn wait_description(&self) -> &'static str {
        match self {
            Self::SettleClient { .. }
            | Self::SettlePlace { .. }
            | Self::Place {
                unknown: Some(_), ..
            } => "next search",
            Self::SetUp { .. } => "next read-back",
            _ => "next try",
        }
    }

    /// Whether the step calls the provisioner.
    #[must_use]
    pub const fn needs_provisioner(&self) -> bool {
        matches!(
            self,
            Self::KnowClient
                | Self::SettleClient { .. }
                | Self::Place { .. }
                | Self::SettlePlace { .. }
                | Self::Verify { .. }
                | Self::SetUp { .. }
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
        Progress::Nothing => Step::KnowClient,
        Progress::CreatingClient(Placing::InFlight { .. }) => Step::DoubtClient,
        Progress::CreatingClient(Placing::Unknown { at, empty_searches }) => Step::SettleClient {
            since: *at,
            empty_searches: *empty_searches,
        },
        Progress::CreatingClient(Placing::Reopened) => Step::KnowClient,
        Progress::ClientKnown { client } => Step::Place {
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
            Placing::InFlight { .. } => Step::DoubtPlace,
            Placing::Unknown { at, empty_searches } => Step::SettlePlace {
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
        Progress::SettingUp {
            set_up: SetUp::InFlight { service, .. },
            ..
        } => Step::DoubtSetUp {
            creating: service.is_some(),
        },
        Progress::SettingUp {
            client,
            order,
            set_up,
            unknown_calls,
            ..
        } => Step::SetUp {
            client: *client,
            order: *order,
            so_far: SetUpSoFar {
                set_up: set_up.clone(),
                unknown_calls: *unknown_calls,
            },
        },
        Progress::Accepted { .. } => Step::Report { refusal: None },
    }
}
