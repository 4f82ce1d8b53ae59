//! Judging what a search for our order has found.

use crate::failure::{Code, Refusal};
use crate::key::{Marker, WhmcsOrderId};
use crate::order::{OrderStatus, Plan, WhmcsOrder};

/// What was looked for.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// Our mark.
    pub marker: Marker,
    /// What a twin without a mark would look like.
    pub plan: &'a Plan,
    /// The highest order id of the client before our first AddOrder; `None` when no AddOrder
    /// was ever begun, and then an unmarked order cannot be ours.
    pub watermark: Option<WhmcsOrderId>,
    /// The order that AddOrder named in its answer: ours whatever it carries, and no twin of
    /// itself.
    pub answered: Option<WhmcsOrderId>,
    /// Which orders show that WHMCS keeps our marker; `None` when it is not known to.
    pub marker_proof: Option<MarkerProof>,
    /// Orders that an operator told us to forget.
    pub forgotten: &'a [WhmcsOrderId],
}

/// The newest orders that were read back and all had kept our marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkerProof {
    /// The first of them.
    pub from: WhmcsOrderId,
    /// The last of them.
    pub to: WhmcsOrderId,
}

impl Search<'_> {
    /// Whether an order without the marker cannot be ours, since WHMCS kept markers when it was
    /// made: orders before and after it kept theirs. A proof from before says nothing, since
    /// an upgrade or a hook can end it at any time.
    fn rules_out(&self, unmarked: WhmcsOrderId) -> bool {
        let kept = self.marker_proof;
        kept.is_some_and(|kept| kept.from < unmarked && unmarked < kept.to)
    }
}

/// What the search means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MatchResult {
    /// No order of ours.
    Absent,
    /// Exactly one order of ours.
    Found(WhmcsOrderId),
    /// More than one order, or one that may be ours: only a person can tell.
    Refused(Refusal),
}

/// Decides over the client's complete list of orders.
///
/// One order with our mark is ours, and so is the one that staff left standing of several.
/// More are `WHMCS_DUPLICATE_FOUND`. None, but an order like ours without a mark above the
/// watermark, while WHMCS is not known to keep marks, is `WHMCS_OUTCOME_UNKNOWN` and names it.
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
        // One of several that staff left standing is the one; a single order is ours even
        // when they ended it, and then it is for a person to say what follows.
        ([one], _) | (_, [one]) => return MatchResult::Found(one.id),
        (several, _) => {
            return MatchResult::Refused(Refusal::new(
                Code::WhmcsDuplicateFound,
                format!(
                    "WHMCS orders {} all carry the mark of this order",
                    ids(several)
                ),
            ));
        }
    }
    let Some(watermark) = search.watermark else {
        return MatchResult::Absent;
    };
    let twins: Vec<_> = remembered()
        .filter(|order| order.id > watermark && Some(order.id) != search.answered)
        .filter(|order| !search.rules_out(order.id) && is_unmarked_duplicate(order, search.plan))
        .collect();
    if twins.is_empty() {
        return MatchResult::Absent;
    }
    MatchResult::Refused(Refusal::new(
        Code::WhmcsOutcomeUnknown,
        format!(
            "WHMCS order {} has the same client, products and cycles, carries no mark, and may be this order. If it is, write {} into its notes in WHMCS; if it is another order's, write the mark of that one there",
            ids(&twins),
            search.marker
        ),
    ))
}

fn is_ours(order: &WhmcsOrder, search: &Search<'_>) -> bool {
    search.marker.is_in(&order.notes)
        || order.lines.iter().any(|seen| {
            seen.marker.is_some_and(|mark| {
                search
                    .plan
                    .lines
                    .iter()
                    .any(|line| line.marker.item == mark.item)
            })
        })
}

fn is_ended(order: &WhmcsOrder) -> bool {
    matches!(order.status, OrderStatus::Cancelled | OrderStatus::Fraud)
}

fn is_unmarked_duplicate(order: &WhmcsOrder, plan: &Plan) -> bool {
    if order.notes.contains("orderbridge:v1:")
        || order.lines.iter().any(|line| line.marker.is_some())
    {
        return false;
    }
    if is_ended(order) {
        return false;
    }
    // A half-made order may be ours too, so fewer lines than planned still count.
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
