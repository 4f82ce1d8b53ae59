//! Reports to the CRM.

use std::collections::BTreeMap;

use super::decide::Moment;
use crate::failure::{Code, Refusal};
use crate::id::OrderItemId;
use crate::job::JobOutcome;
use crate::key::{CorrelationId, ServiceId, WhmcsOrderId};
use crate::order::{Action, ActivationStatus, Decision, Fact, OrderGuard, OrderState, PlacedLine};
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

/// The single write to the order that ends an attempt, or one of two in a CRM that takes the
/// business status of a success separately.
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
    /// The outcome is written already: write the business status and nothing else.
    pub status_only: bool,
}

/// The services of one order line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemReport {
    /// The line.
    pub item: OrderItemId,
    /// Its services, ascending.
    pub services: Vec<ServiceId>,
}

impl Moment<'_> {
    /// Checks again that the order is ours, writes the service ids, checks once more, and writes
    /// the outcome.
    pub(super) fn report(&self, refusal: Option<Refusal>) -> Result<Decision, Refusal> {
        let guard = match &self.observed.guard {
            Some(Some(guard)) => guard,
            Some(None) => return Ok(Decision::Finish(JobOutcome::Superseded, Vec::new())),
            None => return Ok(Decision::ReadGuard),
        };
        if let Some((outcome, facts)) = superseded(self.state, guard, refusal.is_some()) {
            return Ok(Decision::Finish(outcome, facts));
        }
        let lines = self.state.placed_lines();
        if !self.state.items_reported && !lines.is_empty() {
            return Ok(Decision::Act(Action::ReportItems(item_reports(lines))));
        }
        let report = report(
            refusal,
            self.state.whmcs_order(),
            self.planner.correlation,
            self.now,
            guard,
        )?;
        Ok(Decision::Act(Action::Report(report)))
    }
}

/// The services of each order line, for the order's items.
#[must_use]
fn item_reports(lines: &[PlacedLine]) -> Vec<ItemReport> {
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

/// The report that ends an attempt, written at `at`, as far as the guard found it missing.
///
/// # Errors
/// `INTERNAL` for a success without a WHMCS order.
fn report(
    refusal: Option<Refusal>,
    order: Option<WhmcsOrderId>,
    correlation: &CorrelationId,
    at: Timestamp,
    guard: &OrderGuard,
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
        version: guard.version.clone(),
        status_only: guard.status_pending,
    })
}

/// How the job ends without a report: because another request took over the order, or because our
/// own report was already written and only its reply was lost. `None` while the order is ours and
/// something is left to write.
#[must_use]
pub fn superseded(
    state: &OrderState,
    guard: &OrderGuard,
    failing: bool,
) -> Option<(JobOutcome, Vec<Fact>)> {
    let attempt = state.attempt.as_ref();
    let idem_key = attempt.and_then(|(_, idem_key)| idem_key.as_ref());
    if guard.admits(idem_key) {
        return None;
    }
    let ours = match guard.activation {
        ActivationStatus::Activated => !failing,
        ActivationStatus::Failed => failing,
        _ => false,
    };
    match ours && guard.idem_key.as_ref() == idem_key {
        true if guard.status_pending => None,
        true => Some((JobOutcome::of_report(failing), vec![Fact::Reported])),
        false => Some((JobOutcome::Superseded, Vec::new())),
    }
}
