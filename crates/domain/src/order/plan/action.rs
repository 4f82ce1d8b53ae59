//! Calls with an effect.

use crate::id::AccountId;
use crate::key::{ClientId, ServiceId, WhmcsOrderId};
use crate::order::{Fact, ItemReport, Report};
use crate::ports::{CallAction, NewClient, NewOrder};
use crate::time::Timestamp;

/// A call with an effect, with all its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A call to WHMCS.
    Effect(Effect),
    /// Writes the client's id to the account.
    LinkClient {
        /// The account.
        account: AccountId,
        /// The client.
        client: ClientId,
    },
    /// Writes service ids to the order's lines.
    ReportItems(Vec<ItemReport>),
    /// Writes the outcome to the order.
    Report(Report),
}

/// A call to WHMCS that must never be repeated blindly: its intent is committed first, and a lost
/// reply makes its outcome unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// AddClient.
    CreateClient(NewClient),
    /// AddOrder.
    PlaceOrder {
        /// The order to place.
        order: NewOrder,
        /// The client's highest order id before our first AddOrder, zero when there was none.
        watermark: WhmcsOrderId,
    },
    /// AcceptOrder.
    AcceptOrder {
        /// The order.
        order: WhmcsOrderId,
        /// Whether to run the modules of its services.
        run_modules: bool,
    },
    /// ModuleCreate.
    CreateService(ServiceId),
}

impl Effect {
    /// What its call is recorded as.
    #[must_use]
    pub const fn action(&self) -> CallAction {
        match self {
            Self::CreateClient(_) => CallAction::AddClient,
            Self::PlaceOrder { .. } => CallAction::AddOrder,
            Self::AcceptOrder { .. } => CallAction::AcceptOrder,
            Self::CreateService(_) => CallAction::ModuleCreate,
        }
    }

    /// The fact to commit before the call.
    #[must_use]
    pub const fn intent(&self, at: Timestamp) -> Fact {
        match self {
            Self::CreateClient(_) => Fact::CreatingClient { at },
            Self::PlaceOrder { watermark, .. } => Fact::Placing {
                at,
                watermark: *watermark,
            },
            Self::AcceptOrder { .. } => Fact::Accepting { at },
            Self::CreateService(service) => Fact::Creating {
                at,
                service: *service,
            },
        }
    }

    /// The fact that the call certainly had no effect.
    #[must_use]
    pub const fn without_effect(&self) -> Fact {
        match self {
            Self::CreateClient(_) => Fact::ClientNotCreated,
            Self::PlaceOrder { .. } => Fact::NotPlaced,
            Self::AcceptOrder { .. } => Fact::NotAccepted,
            Self::CreateService(_) => Fact::NotCreated,
        }
    }

    /// The fact that the call may have had its effect.
    #[must_use]
    pub const fn unknown(&self, at: Timestamp) -> Fact {
        match self {
            Self::CreateClient(_) => Fact::ClientUnknown { at },
            Self::PlaceOrder { .. } => Fact::PlaceUnknown { at },
            Self::AcceptOrder { .. } => Fact::AcceptUnknown { at },
            Self::CreateService(_) => Fact::CreateUnknown { at },
        }
    }
}
