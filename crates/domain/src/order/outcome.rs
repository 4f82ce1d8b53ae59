//! Reports to the CRM.

use crate::failure::Refusal;
use crate::id::OrderItemId;
use crate::key::{ServiceId, WhmcsOrderId};
use crate::time::Timestamp;

/// How an attempt ended, in business terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything ordered is active.
    Provisioned {
        /// The WHMCS order.
        order: WhmcsOrderId,
    },
    /// Somebody must fix something first.
    Failed {
        /// Why.
        refusal: Refusal,
        /// The WHMCS order, when there is one.
        order: Option<WhmcsOrderId>,
    },
}

/// The single write to the order that ends an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The outcome.
    pub outcome: Outcome,
    /// When.
    pub at: Timestamp,
    /// The message for the operator, including the correlation id; empty on success.
    pub message: String,
    /// The version that the guard read; see [`crate::order::OrderGuard::version`].
    pub version: Option<String>,
}

/// The services of one order line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemReport {
    /// The line.
    pub item: OrderItemId,
    /// Its services, ascending.
    pub services: Vec<ServiceId>,
}
