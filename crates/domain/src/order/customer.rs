//! Orders as customers place and see them.

use std::fmt;

use crate::decimal::Decimal;
use crate::id::{AccountId, OrderId, PricebookEntryId, PricebookId};
use crate::order::{ActivationStatus, Cycle};
use crate::time::Timestamp;

/// Maximum number of lines of a customer's order: the limit of the one call that creates it.
pub const MAX_PLACED_ITEMS: usize = 24;

/// The key that identifies an order placed by a customer (`Portal_Order_Key__c`). Derived from
/// account and idempotency key only, so that a repeated request finds the order after any crash;
/// unique in the CRM.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PlaceKey(String);

impl PlaceKey {
    /// Accepts 1 to 64 lower-case letters, digits or hyphens; `None` for anything else.
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

/// A customer's request to place an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceRequest {
    /// The key of the order.
    pub key: PlaceKey,
    /// The buying account.
    pub account: AccountId,
    /// `YYYY-MM-DD`; `today` when the customer gave none.
    pub effective_date: Option<String>,
    /// The default effective date, `YYYY-MM-DD`.
    pub today: String,
    /// The price book; that of the first line when the customer gave none.
    pub pricebook: Option<PricebookId>,
    /// 1 to [`MAX_PLACED_ITEMS`] lines.
    pub items: Vec<PlaceItem>,
}

/// One line of a [`PlaceRequest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceItem {
    /// The price book entry.
    pub entry: PricebookEntryId,
    /// The quantity.
    pub quantity: Decimal,
    /// The price of one unit; the price book's price when none was given.
    pub unit_price: Option<Decimal>,
    /// The billing cycle; the product's when none was given.
    pub cycle: Option<Cycle>,
}

/// The result of placing an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It was created by this call.
    New(Box<CustomerOrder>),
    /// It was created earlier by the same request with the same key.
    Known(Box<CustomerOrder>),
    /// The key was already used for another request. Nothing was written.
    KeyTaken,
}

/// An order's business status in the CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusinessStatus {
    /// Waiting for an operator. Also any status that is not mapped.
    Pending,
    /// The operator approved it.
    Approved,
    /// Every service is active.
    Provisioned,
    /// It failed.
    Failed,
    /// It was cancelled.
    Cancelled,
}

/// The customer's view of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerOrder {
    /// The order.
    pub id: OrderId,
    /// The account it belongs to.
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

/// The result of requesting another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAnswer {
    /// The order is `Activating` again; its event follows.
    Asked,
    /// It is not failed, or somebody else wrote in between. Nothing was written.
    NotFailed,
}
