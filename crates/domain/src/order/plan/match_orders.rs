//! Matching WHMCS orders to ours.

use crate::failure::{Code, Refusal};
use crate::key::{Marker, WhmcsOrderId};
use crate::order::{OrderStatus, Plan, WhmcsOrder};

/// The search criteria.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// Our marker.
    pub marker: Marker,
    /// The plan, which an unmarked duplicate would match.
    pub plan: &'a Plan,
    /// The client's highest order id before our first AddOrder; `None` when there was no AddOrder,
    /// and then an unmarked order cannot be ours.
    pub watermark: Option<WhmcsOrderId>,
    /// The order id that AddOrder returned or a search found: never counted as its own duplicate.
    pub answered: Option<WhmcsOrderId>,
    /// The orders that prove that WHMCS keeps our marker; `None` without proof.
    pub marker_proof: Option<MarkerProof>,
    /// Orders that an operator made us forget.
    pub forgotten: &'a [WhmcsOrderId],
}

/// The newest orders that were read back, all of which had kept our marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkerProof {
    /// The first of them.
    pub from: WhmcsOrderId,
    /// The last of them.
    pub to: WhmcsOrderId,
}

impl Search<'_> {
    /// Whether an order without the marker cannot be ours, because orders before and after it kept
    /// theirs. An earlier proof alone is not enough: an upgrade or a hook can change that at any
    /// time.
    fn rules_out(&self, unmarked: WhmcsOrderId) -> bool {
        let kept = self.marker_proof;
        kept.is_some_and(|kept| kept.from < unmarked && unmarked < kept.to)
    }
}

/// The result of a search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchResult {
    /// No order of ours.
    Absent,
    /// Exactly one order of ours.
    Found(WhmcsOrderId),
    /// More than one order, or one that may be ours: only an operator can decide.
    Refused(Refusal),
}

/// Matches the client's orders: all those above the watermark, or all of them without one.
///
/// One order with our marker is ours, and so is the only one of several that staff did not end.
/// Several are `WHMCS_DUPLICATE_FOUND`. Without any, an unmarked order above the watermark that
/// matches the plan is `WHMCS_OUTCOME_UNKNOWN`, unless WHMCS is proven to keep markers.
#[must_use]
pub fn match_orders(search: &Search<'_>, orders: &[WhmcsOrder]) -> MatchResult {
    let remembered = || {
        orders
            .iter()
            .filter(|order| !search.forgotten.contains(&order.id))
    };
    let ours: Vec<_> = remembered()
        .filter(|order| is_ours(order, search))
        .collect();
    let live: Vec<_> = ours
        .iter()
        .copied()
        .filter(|order| !is_ended(order))
        .collect();
    match (ours.as_slice(), live.as_slice()) {
        ([], _) => {}
        // The only one of several that staff did not end is ours. A single order is ours even if
        // staff ended it, and then an operator decides.
        ([one], _) | (_, [one]) => return MatchResult::Found(one.id),
        (several, _) => {
            return MatchResult::Refused(Refusal::new(
                Code::WhmcsDuplicateFound,
                format!(
                    "WHMCS orders {} all carry the marker of this order",
                    ids(several)
                ),
            ));
        }
    }
    let Some(watermark) = search.watermark else {
        return MatchResult::Absent;
    };
    let duplicates: Vec<_> = remembered()
        .filter(|order| order.id > watermark && Some(order.id) != search.answered)
        .filter(|order| !search.rules_out(order.id) && is_unmarked_duplicate(order, search.plan))
        .collect();
    if duplicates.is_empty() {
        return MatchResult::Absent;
    }
    MatchResult::Refused(Refusal::new(
        Code::WhmcsOutcomeUnknown,
        format!(
            "WHMCS order {} has the same client, products and cycles, carries no marker, and may be this order. If it is, add {} to its notes in WHMCS; if it belongs to another order, add the marker of that one",
            ids(&duplicates),
            search.marker
        ),
    ))
}

fn is_ours(order: &WhmcsOrder, search: &Search<'_>) -> bool {
    search.marker.is_in(&order.notes)
        || order.lines.iter().any(|seen| {
            seen.marker.is_some_and(|marker| {
                search
                    .plan
                    .lines
                    .iter()
                    .any(|line| line.marker.item == marker.item)
            })
        })
}

fn is_ended(order: &WhmcsOrder) -> bool {
    matches!(order.status, OrderStatus::Cancelled | OrderStatus::Fraud)
}

fn is_unmarked_duplicate(order: &WhmcsOrder, plan: &Plan) -> bool {
    if order.notes.contains(Marker::PREFIX) || order.lines.iter().any(|line| line.marker.is_some())
    {
        return false;
    }
    if is_ended(order) {
        return false;
    }
    // A partially created order may be ours too, so fewer lines than planned still match.
    let mut wanted: Vec<_> = plan
        .lines
        .iter()
        .map(|line| (line.product, line.cycle))
        .collect();
    order.lines.len() <= wanted.len()
        && order.lines.iter().all(|seen| {
            let at = wanted.iter().position(|(product, cycle)| {
                seen.product.is_none_or(|id| id == *product)
                    && seen.cycle.is_none_or(|name| name == *cycle)
            });
            at.map(|at| wanted.swap_remove(at)).is_some()
        })
}

fn ids(orders: &[&WhmcsOrder]) -> String {
    orders
        .iter()
        .map(|order| order.id.to_string())
        .collect::<Vec<_>>()
        .join(", ")
}
