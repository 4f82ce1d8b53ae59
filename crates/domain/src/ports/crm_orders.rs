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

/// The result of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportAnswer {
    /// It was written to the order.
    Written,
    /// The outcome was written; this CRM takes the business status in a write of its own. Read the
    /// order again: [`OrderGuard::status_pending`].
    StatusPending,
    /// Somebody else wrote in between, or the CRM rejected a stale version. Nothing was written:
    /// read the order again and decide anew.
    Conflict,
}

/// An order that should have produced an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The order.
    pub order: OrderId,
    /// Its `Activation_IdemKey__c`.
    pub idem_key: Option<IdemKey>,
    /// Its `Activation_Correlation_Id__c`.
    pub correlation: Option<CorrelationId>,
    /// Since when it has been `Activating`, as far as known.
    pub since: Timestamp,
}

/// The CRM's orders, for the worker.
///
/// Every write sets absolute values and may be repeated after any error.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait CrmOrders: Send + Sync {
    /// The order with its lines, or `None` when it does not exist or is not visible to us.
    ///
    /// # Errors
    /// [`CallError`].
    async fn details(&self, order: OrderId) -> Result<Option<OrderDetails>, CallError>;

    /// The guard's view of the order, read from the CRM itself.
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

    /// Writes the outcome to the order, or the business status alone: ONE write, guarded by the
    /// report's version.
    ///
    /// # Errors
    /// [`CallError`].
    async fn report(&self, order: OrderId, report: &Report) -> Result<ReportAnswer, CallError>;
}

/// Activations in the CRM, for the sweep.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait PendingActivations: Send + Sync {
    /// Orders that have been `Activating` for longer than `older_than` by the CRM's clock, by
    /// ascending id, at most `limit`, starting after `after`.
    ///
    /// # Errors
    /// [`CallError`].
    async fn pending(
        &self,
        older_than: Duration,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<Pending>, CallError>;
}

/// A customer's orders in the CRM.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait CustomerOrders: Send + Sync {
    /// Creates a customer's order with its lines, all or nothing, in the status that waits for an
    /// operator. The key is unique in the CRM: a repeat, also after a lost reply, finds the
    /// existing order and compares it with the request. If staff changed its lines since, the
    /// result is [`Placed::KeyTaken`]; there is never a second order.
    ///
    /// # Errors
    /// [`CallError`]; `Refused` for an order that the CRM rejects.
    async fn place(&self, request: &PlaceRequest) -> Result<Placed, CallError>;

    /// The customer's view of up to 200 orders, in one call; orders that do not exist are omitted.
    ///
    /// # Errors
    /// [`CallError`].
    async fn customer_orders(&self, orders: &[OrderId]) -> Result<Vec<CustomerOrder>, CallError>;
}

/// API calls that the CRM grants to all its clients together, per 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportedAllowance {
    /// Calls made by all clients within the last 24 hours.
    pub used: u64,
    /// Calls granted.
    pub limit: u64,
}

impl ReportedAllowance {
    /// Whether less than a tenth is left, which is reserved for jobs in progress.
    #[must_use]
    pub const fn is_low(&self) -> bool {
        self.limit.saturating_sub(self.used).saturating_mul(10) < self.limit
    }
}

/// How many API calls are left.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait ApiAllowance: Send + Sync {
    /// What the CRM reported last to this process; `None` when that is unknown or more than an
    /// hour ago.
    fn reported(&self) -> Option<ReportedAllowance>;
}

/// Retries that an operator requests in the CRM.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait RetryRequests: Send + Sync {
    /// Requests another attempt for a failed order: sets it to `Activating`, guarded by its
    /// version. The CRM publishes the event. A repeat finds it `Activating` and writes nothing.
    ///
    /// # Errors
    /// [`CallError`].
    async fn request_retry(&self, order: OrderId) -> Result<RetryAnswer, CallError>;
}
