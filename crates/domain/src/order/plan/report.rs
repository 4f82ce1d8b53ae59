//! Reports to the CRM.

use std::collections::BTreeMap;

use crate::failure::{Code, Refusal};
use crate::id::OrderItemId;
use crate::key::{CorrelationId, ServiceId, WhmcsOrderId};
use crate::order::PlacedLine;
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

/// The services of each order line, for the order's items.
#[must_use]
pub fn item_reports(lines: &[PlacedLine]) -> Vec<ItemReport> {
    let mut services = BTreeMap::<_, Vec<_>>::new();
    for line in lines {
        services
            .entry(line.marker.item)
            .or_default()
            .push(line.service);
    }
    services
        .into_iter()
        .map(|(item, mut services)| {
            services.sort_unstable();
            ItemReport { item, services }
        })
        .collect()
}

/// The report that ends an attempt, written at `at`; `version` is what the guard read.
///
/// # Errors
/// `INTERNAL` for a success without a WHMCS order.
pub fn report(
    refusal: Option<Refusal>,
    order: Option<WhmcsOrderId>,
    correlation: &CorrelationId,
    at: Timestamp,
    version: Option<String>,
) -> Result<Report, Refusal> {
    let message = refusal
        .as_ref()
        .map(|refusal| refusal.message(correlation))
        .unwrap_or_default();
    let outcome = match (refusal, order) {
        (None, Some(order)) => Outcome::Provisioned { order },
        (Some(refusal), order) => Outcome::Failed { refusal, order },
        (None, None) => return Err(Refusal::new(Code::Internal, "success without an order")),
    };
    Ok(Report {
        outcome,
        at,
        message,
        version,
    })
}
