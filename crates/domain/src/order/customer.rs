//! Orders as customers place them and see them.

use std::fmt;

use crate::decimal::Decimal;
use crate::id::{AccountId, OrderId, PricebookEntryId, PricebookId};
use crate::order::{ActivationStatus, Cycle};
use crate::time::Timestamp;

/// The most lines of one order that a customer places: so many fit into the one call that
/// makes it.
pub const MAX_PLACED_ITEMS: usize = 24;

/// The key by which an order placed by a customer is found again (`Portal_Order_Key__c`).
/// Made from account and idempotency key alone, so that whoever repeats the request finds
/// the order, whatever crashed in between; the CRM holds it unique.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PlaceKey(String);

impl PlaceKey {
    /// Takes 1 to 64 lower-case letters, digits or hyphens; `None` for anything else.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        (!text.is_empty() && text.len() <= 64 && text.bytes().all(plain)).then_some(Self(text))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PlaceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An order that a customer places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceRequest {
    /// By which it is found again.
    pub key: PlaceKey,
    /// Who buys.
    pub account: AccountId,
    /// `YYYY-MM-DD`; `today` where the customer named none.
    pub effective_date: Option<String>,
    /// The date to start on where none was named, `YYYY-MM-DD`.
    pub today: String,
    /// The price book; that of the first line where the customer named none.
    pub pricebook: Option<PricebookId>,
    /// What is bought, 1 to [`MAX_PLACED_ITEMS`] lines.
    pub items: Vec<PlaceItem>,
}

/// One line of an order that a customer places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceItem {
    /// What, and from which price book.
    pub entry: PricebookEntryId,
    /// How many.
    pub quantity: Decimal,
    /// For how much; the price book's price where none was named.
    pub unit_price: Option<Decimal>,
    /// How it is billed; as the product says where nothing was named.
    pub cycle: Option<Cycle>,
}

/// What became of an order that a customer placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It was made by this call.
    New(Box<CustomerOrder>),
    /// It was made before, by the same key and the same request.
    Known(Box<CustomerOrder>),
    /// The key was used before, for another request. Nothing was written.
    KeyTaken,
}

/// What the CRM says of an order's business status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusinessStatus {
    /// Waits for the operator. Also what the bridge has no word for.
    Pending,
    /// The operator approved it.
    Approved,
    /// Everything is active.
    Provisioned,
    /// It failed.
    Failed,
    /// It was called off.
    Cancelled,
}

/// An order as far as a customer may know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerOrder {
    /// The order.
    pub id: OrderId,
    /// Whose it is.
    pub account: AccountId,
    /// `OrderNumber`.
    pub number: Option<String>,
    /// `Status`.
    pub status: BusinessStatus,
    /// `Activation_Status__c`.
    pub activation: ActivationStatus,
    /// When it was last changed, by the CRM's clock.
    pub updated_at: Timestamp,
}

/// What became of asking for another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAnswer {
    /// The order is `Activating` again; its event follows.
    Asked,
    /// It has not failed, or somebody else wrote in between. Nothing was written.
    NotFailed,
}
