//! What a decision is based on besides the order's facts.

use crate::failure::Refusal;
use crate::key::{ClientId, ProductId, WhmcsOrderId};
use crate::order::{OrderGuard, WhmcsClient, WhmcsOrder};
use crate::ports::{CallAction, CatalogueEntry};

/// A read of WHMCS that the next decision needs. It has no effect and may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// The client with this id.
    Client(ClientId),
    /// The client with exactly this e-mail address.
    ClientByEmail(String),
    /// The client's orders.
    Orders {
        /// The client.
        client: ClientId,
        /// Only those with a higher id.
        above: Option<WhmcsOrderId>,
    },
    /// One order with its services.
    Order {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
    },
    /// The catalogue entries of these products.
    Catalogue(Vec<ProductId>),
}

impl Read {
    /// What its call is recorded as.
    #[must_use]
    pub const fn action(&self) -> CallAction {
        match self {
            Self::Client(_) | Self::ClientByEmail(_) => CallAction::GetClient,
            Self::Orders { .. } | Self::Order { .. } => CallAction::GetOrders,
            Self::Catalogue(_) => CallAction::GetProducts,
        }
    }
}

/// What was read for the next decision; `None` for what was not read. Outdated by the next fact and
/// by the next delay.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The client, if it exists.
    pub client: Option<Option<WhmcsClient>>,
    /// The client's orders, complete.
    pub orders: Option<Vec<WhmcsOrder>>,
    /// The order, if it exists.
    pub order: Option<Option<WhmcsOrder>>,
    /// The catalogue, if the installation shows it.
    pub catalogue: Option<Option<Vec<CatalogueEntry>>>,
    /// The CRM's order, if it exists.
    pub guard: Option<Option<OrderGuard>>,
}

/// What calls of this attempt answered beyond their facts. Lost with the process; then reads
/// replace it.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// The client that AddClient created.
    pub client: Option<ClientId>,
    /// Why AddClient was refused.
    pub client_refused: Option<Refusal>,
    /// The order that AddOrder returned.
    pub order: Option<WhmcsOrderId>,
}
