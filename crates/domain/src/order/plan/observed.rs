//! What a decision is based on besides the order's facts.

use crate::failure::Refusal;
use crate::key::{ClientId, ProductId, WhmcsOrderId};
use crate::order::{Fact, OrderGuard, WhmcsClient, WhmcsOrder};
use crate::ports::{CallAction, CatalogueEntry, Freshness, OrderDetail};

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
        /// How much of each order is compared.
        detail: OrderDetail,
    },
    /// One order with its services.
    Order {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
    },
    /// The catalogue entries of these products.
    Catalogue {
        /// The products.
        products: Vec<ProductId>,
        /// How old the answer may be.
        freshness: Freshness,
    },
}

impl Read {
    /// What its call is recorded as.
    #[must_use]
    pub const fn action(&self) -> CallAction {
        match self {
            Self::Client(_) | Self::ClientByEmail(_) => CallAction::GetClient,
            Self::Orders { .. } | Self::Order { .. } => CallAction::GetOrders,
            Self::Catalogue { .. } => CallAction::GetProducts,
        }
    }
}

/// Reads that may run together: none depends on another's answer.
///
/// Only the first must succeed. The others are what the following decisions will probably need;
/// when one of them fails, it is asked for again once it is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reads {
    /// What the next decision needs.
    pub needed: Read,
    /// What the decisions after it will probably need.
    pub ahead: Vec<Read>,
    /// Whether the report will probably need the guard; see [`crate::order::Decision::ReadGuard`].
    pub guard: bool,
}

impl From<Read> for Reads {
    fn from(needed: Read) -> Self {
        Self {
            needed,
            ahead: Vec::new(),
            guard: false,
        }
    }
}

/// What was read of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    /// The entries; `None` when the installation does not show its catalogue.
    pub entries: Option<Vec<CatalogueEntry>>,
    /// How old they may be.
    pub freshness: Freshness,
}

/// What was read for the next decision; `None` for what was not read. Outdated by the next delay
/// and by the next fact, except for what [`Observed::after`] keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The client, if it exists.
    pub client: Option<Option<WhmcsClient>>,
    /// The client's orders, complete.
    pub orders: Option<Vec<WhmcsOrder>>,
    /// The order, if it exists.
    pub order: Option<Option<WhmcsOrder>>,
    /// The catalogue.
    pub catalogue: Option<Catalogue>,
    /// The CRM's order, if it exists.
    pub guard: Option<Option<OrderGuard>>,
}

impl Observed {
    /// Adds what another read showed; it replaces an earlier answer to the same question.
    pub fn add(&mut self, more: Self) {
        self.client = more.client.or(self.client.take());
        self.orders = more.orders.or(self.orders.take());
        self.order = more.order.or(self.order.take());
        self.catalogue = more.catalogue.or(self.catalogue.take());
        self.guard = more.guard.or(self.guard.take());
    }

    /// What the next step may still use after `fact` was recorded without a delay. Nothing that was
    /// read before a call to the provisioner is used after it, and what was read of the provisioner
    /// serves the step it was read in and the one after it, never a third.
    ///
    /// - The client is resolved: the orders and the catalogue that were read beside it are the
    ///   search and the check before AddOrder.
    /// - The order is verified: it was read a moment ago, so AcceptOrder is decided from it.
    /// - Everything is active, then the service ids are written: the guard was read after the last
    ///   call with an effect, and the report is refused if the CRM's order changes after it.
    #[must_use]
    pub fn after(self, fact: &Fact) -> Self {
        let nothing = Self::default();
        match fact {
            Fact::Client { .. } => Self {
                orders: self.orders,
                catalogue: self.catalogue,
                ..nothing
            },
            Fact::Verified { .. } => Self {
                orders: self.orders,
                ..nothing
            },
            Fact::Accepted | Fact::ItemsReported => Self {
                guard: self.guard,
                ..nothing
            },
            _ => nothing,
        }
    }
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
