//! What to do about one pair of orders. Pure.

use domain::key::{ClientId, LineMarker, Marker, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{
    MappingOverrides, OrderDetails, OrderStatus, Plan, WhmcsOrder, WhmcsService, verify,
};

/// A Salesforce order, the WHMCS order that it records, and what is known about both.
pub(super) struct Pair<'a> {
    pub(super) details: &'a OrderDetails,
    pub(super) client: ClientId,
    pub(super) whmcs_order: WhmcsOrderId,
    /// Every order of the client.
    pub(super) whmcs_orders: &'a [WhmcsOrder],
    pub(super) overrides: &'a MappingOverrides,
    /// The custom field for the line markers of a product.
    pub(super) field: &'a dyn Fn(ProductId) -> Option<u64>,
}

/// A line marker to write into a custom field of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineWrite {
    pub(super) service: ServiceId,
    pub(super) field: u64,
    pub(super) marker: LineMarker,
}

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    /// Nothing: orderbridge recognises the order.
    Nothing,
    /// These line markers.
    Lines(Vec<LineWrite>),
    /// A marker that only staff can add, to the notes.
    Notes,
}

/// What the WHMCS order lacks, or why it is not the order that the plan describes.
pub(super) fn assess(pair: &Pair<'_>) -> Result<Missing, String> {
    let (marker, client, id) = (pair.details.marker(), pair.client, pair.whmcs_order);
    let placed = pair.whmcs_orders.iter().find(|order| order.id == id);
    let Some(placed) = placed else {
        return Err(format!("client {client} has no WHMCS order {id}"));
    };
    let is_marked = marker.is_in(&placed.notes);
    if !is_marked && placed.notes.contains(Marker::PREFIX) {
        return Err(format!("WHMCS order {id} carries another marker"));
    }
    let plan = Plan::of(&pair.details.items, pair.overrides).map_err(|refusal| refusal.detail)?;
    // A worker may take what WHMCS does not report for a match; a first look must not.
    let unknown = |line: &&WhmcsService| line.product.is_none() || line.cycle.is_none();
    if let Some(line) = placed.lines.iter().find(unknown) {
        return Err(format!(
            "WHMCS reports no product or cycle of service {}",
            line.service
        ));
    }
    let lines = verify(placed, &plan, client).map_err(|refusal| refusal.detail)?;
    let is_ours = |order: &&WhmcsOrder| {
        let of_plan = |found: LineMarker| lines.iter().any(|line| line.marker.item == found.item);
        let mut markers = order.lines.iter().filter_map(|line| line.marker);
        order.id != id && is_live(order) && (marker.is_in(&order.notes) || markers.any(of_plan))
    };
    if let Some(other) = pair.whmcs_orders.iter().find(is_ours) {
        return Err(format!(
            "WHMCS order {} carries the marker of this order already",
            other.id
        ));
    }
    if is_marked {
        return Ok(Missing::Nothing);
    }
    let service = |id: ServiceId| placed.lines.iter().find(|line| line.service == id);
    let writes = lines.iter().filter_map(|line| {
        let service = service(line.service)?;
        let field = (pair.field)(service.product?)?;
        (service.marker != Some(line.marker)).then_some(LineWrite {
            service: line.service,
            field,
            marker: line.marker,
        })
    });
    let writes: Vec<_> = writes.collect();
    let is_recognised = placed.lines.iter().any(|line| line.marker.is_some());
    Ok(match (writes.is_empty(), is_recognised) {
        (false, _) => Missing::Lines(writes),
        (true, true) => Missing::Nothing,
        (true, false) => Missing::Notes,
    })
}

fn is_live(order: &WhmcsOrder) -> bool {
    !matches!(order.status, OrderStatus::Cancelled | OrderStatus::Fraud)
}
