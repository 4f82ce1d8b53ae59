//! Placing an order that does not exist yet.

use crate::failure::{Code, Refusal};
use crate::key::{ClientId, WhmcsOrderId};
use crate::order::{OrderDetails, Plan, WhmcsOrder};
use crate::ports::{CatalogueEntry, NewOrder};

/// An AddOrder call.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// The order to place.
    pub order: NewOrder,
    /// The client's highest order id before our first AddOrder, zero when there was none.
    pub watermark: WhmcsOrderId,
}

/// Plans the AddOrder call. `orders` are all of the client's; none of them is ours.
/// `watermark` is that of an earlier AddOrder, if there was one. `catalogue` is `None` where the
/// installation does not show it.
///
/// # Errors
/// `MAPPING_INVALID` when WHMCS does not have a product or does not sell its cycle.
pub fn place_order(
    details: &OrderDetails,
    plan: &Plan,
    client: ClientId,
    watermark: Option<WhmcsOrderId>,
    orders: &[WhmcsOrder],
    catalogue: Option<&[CatalogueEntry]>,
) -> Result<Placement, Refusal> {
    if let Some(entries) = catalogue {
        check_catalogue(plan, entries)?;
    }
    let highest = orders.iter().map(|order| order.id).max();
    Ok(Placement {
        order: NewOrder {
            client,
            marker: details.marker(),
            plan: plan.clone(),
        },
        watermark: watermark.or(highest).unwrap_or(WhmcsOrderId(0)),
    })
}

fn check_catalogue(plan: &Plan, entries: &[CatalogueEntry]) -> Result<(), Refusal> {
    for line in &plan.lines {
        let entry = entries.iter().find(|entry| entry.product == line.product);
        let detail = match entry {
            None => format!("WHMCS has no product {}", line.product),
            Some(entry) if entry.closed_cycles.contains(&line.cycle) => format!(
                "WHMCS does not sell product {} {}",
                line.product, line.cycle
            ),
            Some(_) => continue,
        };
        return Err(Refusal::new(Code::MappingInvalid, detail));
    }
    Ok(())
}
