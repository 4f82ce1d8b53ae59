//! Verifying a WHMCS order against the plan.

use std::collections::BTreeMap;

use crate::failure::{Code, Refusal};
use crate::key::{ClientId, LineMarker, ServiceId};
use crate::order::{Line, OrderStatus, Plan, WhmcsOrder, WhmcsService};

/// A planned line and the service that WHMCS created for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedLine {
    /// The item and unit.
    pub marker: LineMarker,
    /// The service.
    pub service: ServiceId,
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
