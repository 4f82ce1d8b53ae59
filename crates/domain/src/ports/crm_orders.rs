//! The CRM's orders.

use std::time::Duration;

use async_trait::async_trait;

use crate::id::{AccountId, OrderId};
use crate::key::{ClientId, CorrelationId, IdemKey};
use crate::order::{
    CustomerOrder, ItemReport, OrderDetails, OrderGuard, PlaceRequest, Placed, Report, RetryAnswer,
};
use crate::ports::CallError;
use crate::time::Timestamp;

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportAnswer {
    /// It stands on the order.
    Written,
    /// Somebody else wrote in between, or a guard of the CRM refused a stale writer: read
    /// the order again and decide anew. Nothing was written.
    Conflict,
}

/// An order that ought to have produced an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The order.
    pub order: OrderId,
    /// Its `Activation_IdemKey__c`.
    pub idem_key: Option<IdemKey>,
    /// Its `Activation_Correlation_Id__c`.
    pub correlation: Option<CorrelationId>,
    /// Since when it has been `Activating`, as well as can be told.
    pub since: Timestamp,
}

/// The CRM's orders.
///
/// Every write carries absolute values and may be repeated after any error.
#[async_trait]
pub trait CrmOrders: Send + Sync {
    /// The order with its lines, or `None` when there is none that we may see.
    ///
    /// # Errors
    /// [`CallError`].
    async fn details(&self, order: OrderId) -> Result<Option<OrderDetails>, CallError>;

    /// Whether the order is still ours to write to, read at its source.
    ///
    /// # Errors
    /// [`CallError`].
    async fn order_guard(&self, order: OrderId) -> Result<Option<OrderGuard>, CallError>;

    /// Writes the client's id to the account.
    ///
    /// # Errors
    /// [`CallError`].
    async fn link_client(&self, account: AccountId, client: ClientId) -> Result<(), CallError>;

    /// Writes service ids to the order's lines.
    ///
    /// # Errors
    /// [`CallError`].
    async fn report_items(&self, items: &[ItemReport]) -> Result<(), CallError>;

    /// Writes the outcome to the order: ONE write, guarded by the report's version.
    ///
    /// # Errors
    /// [`CallError`].
    async fn report(&self, order: OrderId, report: &Report) -> Result<ReportAnswer, CallError>;

    /// Orders that have been `Activating` for longer than `older_than` by the CRM's own clock,
    /// in the sequence of their ids, at most `limit`, from behind `after` on.
    ///
    /// # Errors
    /// [`CallError`].
    async fn pending(
        &self,
        older_than: Duration,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<Pending>, CallError>;

    /// Makes a customer's order with its lines, all or nothing, in the status that waits for
    /// the operator. The CRM holds the key unique: a repeat, or a call whose reply was lost,
    /// finds the order that is there and compares it with the request. What staff changed on
    /// its lines since then makes that [`Placed::KeyTaken`]; there is never a second order.
    ///
    /// # Errors
    /// [`CallError`]; `Refused` for an order that the CRM does not take.
    async fn place(&self, request: &PlaceRequest) -> Result<Placed, CallError>;

    /// Orders as far as customers may know them, in one call for up to 200; those that are
    /// not there are left out.
    ///
    /// # Errors
    /// [`CallError`].
    async fn customer_orders(&self, orders: &[OrderId]) -> Result<Vec<CustomerOrder>, CallError>;

    /// Asks for another attempt at an order that failed: `Activating` again, guarded by its
    /// version. The CRM makes the event. A repeat finds it `Activating` and writes nothing.
    ///
    /// # Errors
    /// [`CallError`].
    async fn request_retry(&self, order: OrderId) -> Result<RetryAnswer, CallError>;
}
