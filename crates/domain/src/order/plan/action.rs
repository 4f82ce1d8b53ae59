//! Calls with an effect.

use crate::id::AccountId;
use crate::key::{ClientId, ServiceId, WhmcsOrderId};
use crate::order::{ItemReport, Report};
use crate::ports::{NewClient, NewOrder};

/// A call with an effect, with all its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// AddClient.
    CreateClient(NewClient),
    /// Writes the client's id to the account.
    LinkClient {
        /// The account.
        account: AccountId,
        /// The client.
        client: ClientId,
    },
    /// AddOrder.
    PlaceOrder(NewOrder),
    /// AcceptOrder.
    AcceptOrder {
        /// The order.
        order: WhmcsOrderId,
        /// Whether to run the modules of its services.
        run_modules: bool,
    },
    /// ModuleCreate.
    CreateService(ServiceId),
    /// Writes service ids to the order's lines.
    ReportItems(Vec<ItemReport>),
    /// Writes the outcome to the order.
    Report(Report),
}
