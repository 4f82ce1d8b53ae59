//! Verifying a WHMCS order against the plan.

use std::collections::BTreeMap;

use super::decide::Moment;
use crate::failure::{Code, Refusal};
use crate::key::{ClientId, LineMarker, ServiceId, WhmcsOrderId};
use crate::order::{
    Decision, Fact, Line, MarkerCheck, MarkerProof, MatchResult, OrderStatus, Plan, Read, Search,
    WhmcsOrder, WhmcsService, match_orders,
};
use crate::ports::OrderDetail;

/// A planned line and the service that WHMCS created for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedLine {
    /// The item and unit.
    pub marker: LineMarker,
    /// The service.
    pub service: ServiceId,
}

/// The result of reading a placed order back.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verification {
    /// The order is ours and matches the plan.
    Verified {
        /// Which service belongs to which line.
        lines: Vec<PlacedLine>,
        /// Whether its notes contain our marker.
        is_marked: bool,
    },
    /// Another order is ours: staff ended this one.
    Replaced(WhmcsOrderId),
}

impl Moment<'_> {
    /// Reads the client's orders once more: that verifies the order and finds a duplicate created
    /// by a proxy that repeated the call.
    ///
    /// Orders above the watermark are enough when we placed the order ourselves; the duplicate of
    /// an adopted one may be anywhere.
    pub(super) fn verify(
        &self,
        client: ClientId,
        order: WhmcsOrderId,
        watermark: Option<WhmcsOrderId>,
    ) -> Result<Decision, Refusal> {
        let plan = self.planner.plan()?;
        let above = watermark.filter(|watermark| order > *watermark);
        let Some(orders) = &self.observed.orders else {
            let detail = OrderDetail::Services;
            let search = Read::Orders {
                client,
                above,
                detail,
            };
            return Ok(Decision::Read(search.into()));
        };
        let search = self.planner.search(self.state, &plan, above);
        let fact = match verify_placed(search, client, order, orders)? {
            // Staff may add the marker by hand where notes are dropped, so only an order that
            // AddOrder just returned proves that WHMCS keeps it.
            Verification::Verified { lines, is_marked } => {
                let marker = match is_marked {
                    true if self.answers.order == Some(order) => MarkerCheck::Kept,
                    true => MarkerCheck::Unchecked,
                    false => MarkerCheck::Dropped,
                };
                Fact::Verified { lines, marker }
            }
            Verification::Replaced(order) => Fact::Placed { order },
        };
        Ok(Decision::Record(fact))
    }
}

/// Checks the order that AddOrder returned or a search found, by the client's orders, and looks
/// for a duplicate that a proxy created by repeating the call.
///
/// `search` is the search for this order; its [`Search::answered`] is set here.
///
/// # Errors
/// `WHMCS_DUPLICATE_FOUND` or `WHMCS_OUTCOME_UNKNOWN` for a possible duplicate,
/// `WHMCS_ORDER_MISMATCH` for an order that is gone or differs from the plan.
fn verify_placed(
    search: Search<'_>,
    client: ClientId,
    order: WhmcsOrderId,
    orders: &[WhmcsOrder],
) -> Result<Verification, Refusal> {
    let seen = orders.iter().find(|seen| seen.id == order);
    let is_marked = seen.is_some_and(|seen| search.marker.is_in(&seen.notes));
    // The order itself is the newest evidence: a duplicate of it kept or lost its marker too.
    let marker_proof = search.marker_proof.filter(|_| is_marked);
    let search = Search {
        answered: Some(order),
        marker_proof: marker_proof.map(|proof| MarkerProof {
            to: WhmcsOrderId(u64::MAX),
            ..proof
        }),
        ..search
    };
    match match_orders(&search, orders) {
        MatchResult::Refused(refusal) => return Err(refusal),
        MatchResult::Found(found) if found != order => return Ok(Verification::Replaced(found)),
        MatchResult::Found(_) | MatchResult::Absent => {}
    }
    let Some(seen) = seen else {
        return Err(gone(order));
    };
    let lines = verify(seen, search.plan, client)?;
    Ok(Verification::Verified { lines, is_marked })
}

/// The failure of an order that WHMCS does not have any more.
#[must_use]
pub(super) fn gone(order: WhmcsOrderId) -> Refusal {
    let detail = format!("WHMCS order {order} does not exist any more");
    Refusal::new(Code::WhmcsOrderMismatch, detail)
}

/// Compares a placed order with the plan and maps services to lines.
///
/// Services with our line marker are mapped by it, the rest in sequence, because WHMCS creates
/// services in the sequence of the request. A product or cycle that WHMCS did not report matches
/// any.
///
/// # Errors
/// `WHMCS_ORDER_MISMATCH` with the exact difference: another client, cancelled, fraud, too
/// few or too many services, another product or cycle.
pub fn verify(
    order: &WhmcsOrder,
    plan: &Plan,
    client: ClientId,
) -> Result<Vec<PlacedLine>, Refusal> {
    let mismatch = |detail: String| {
        Refusal::new(
            Code::WhmcsOrderMismatch,
            format!("WHMCS order {}: {detail}", order.id),
        )
    };
    if order.client != client {
        return Err(mismatch(format!(
            "it belongs to client {} instead of {client}",
            order.client
        )));
    }
    match &order.status {
        OrderStatus::Pending | OrderStatus::Active => {}
        OrderStatus::Cancelled => return Err(mismatch("it was cancelled".to_owned())),
        OrderStatus::Fraud => return Err(mismatch("it was marked as fraud".to_owned())),
        OrderStatus::Other(status) => {
            return Err(mismatch(format!(
                "its status is `{status}`, which is unknown"
            )));
        }
    }
    let mut services: Vec<&WhmcsService> = order.lines.iter().collect();
    services.sort_unstable_by_key(|line| line.service);
    let mut placed = Vec::with_capacity(plan.lines.len());
    let mut missing = Vec::new();
    let (marked, unmarked): (Vec<&Line>, Vec<&Line>) = plan.lines.iter().partition(|line| {
        services
            .iter()
            .any(|service| service.marker == Some(line.marker))
    });
    for line in marked.into_iter().chain(unmarked) {
        let found = services
            .iter()
            .position(|service| service.marker == Some(line.marker) && fits(service, line))
            .or_else(|| {
                services
                    .iter()
                    .position(|service| service.marker.is_none() && fits(service, line))
            });
        match found {
            Some(at) => placed.push(PlacedLine {
                marker: line.marker,
                service: services.remove(at).service,
            }),
            None => missing.push(line),
        }
    }
    if missing.is_empty() && services.is_empty() {
        placed.sort_unstable_by_key(|line| line.marker);
        return Ok(placed);
    }
    let mut differences = Vec::new();
    for (text, count) in counted(
        missing
            .iter()
            .map(|line| format!("product {} {}", line.product, line.cycle)),
    ) {
        differences.push(format!("{count} x {text} missing"));
    }
    for service in services {
        let product = service
            .product
            .map_or("unknown".to_owned(), |product| product.to_string());
        let cycle = service.cycle.map_or("unknown", crate::order::Cycle::name);
        differences.push(format!(
            "service {} (product {product} {cycle}) was not ordered",
            service.service
        ));
    }
    Err(mismatch(differences.join("; ")))
}

fn fits(service: &WhmcsService, line: &Line) -> bool {
    service
        .product
        .is_none_or(|product| product == line.product)
        && service.cycle.is_none_or(|cycle| cycle == line.cycle)
}

fn counted(texts: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for text in texts {
        *counts.entry(text).or_insert(0) += 1;
    }
    counts
}
