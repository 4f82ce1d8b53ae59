//! Placing an order that does not exist yet.

use super::decide::{Moment, effect};
use crate::failure::{Code, Refusal};
use crate::key::{ClientId, WhmcsOrderId};
use crate::order::{
    Decision, Effect, Fact, MatchResult, OrderDetails, Plan, Planner, Read, UnknownCall,
    WaitReason, WhmcsOrder, match_orders,
};
use crate::ports::{CatalogueEntry, NewOrder};
use crate::time::Timestamp;

impl Moment<'_> {
    /// Searches the client's whole list first: that also covers a lost store, an earlier call that
    /// took effect late, and a second installation. While an earlier call may still take effect,
    /// nothing is placed.
    pub(super) fn place(
        &self,
        client: ClientId,
        watermark: Option<WhmcsOrderId>,
        unknown: Option<UnknownCall>,
    ) -> Result<Decision, Refusal> {
        let Planner { details, rules, .. } = self.planner;
        let plan = self.planner.plan()?;
        let Some(orders) = &self.observed.orders else {
            let above = None;
            return Ok(Decision::Read(Read::Orders { client, above }));
        };
        match match_orders(&self.planner.search(self.state, &plan, watermark), orders) {
            MatchResult::Found(order) => return Ok(Decision::Record(Fact::Placed { order })),
            MatchResult::Refused(refusal) => return Err(refusal),
            MatchResult::Absent => {}
        }
        let until = unknown.map(|call| call.expires_at(rules.call_timeout, rules.quiet_period));
        if let Some(until) = until.filter(|until| self.now < *until) {
            let reason = WaitReason::EarlierOrder;
            return Ok(Decision::Wait { until, reason });
        }
        let Some(catalogue) = &self.observed.catalogue else {
            return Ok(Decision::Read(Read::Catalogue(plan.products())));
        };
        let catalogue = catalogue.as_deref();
        place_order(details, &plan, client, watermark, orders, catalogue).map(effect)
    }

    pub(super) fn reconcile_placement(
        &self,
        client: ClientId,
        watermark: WhmcsOrderId,
        since: Timestamp,
        empty_searches: u8,
    ) -> Result<Decision, Refusal> {
        if empty_searches >= 2 {
            let detail = format!(
                "the answer to AddOrder was lost and two complete searches of client {client} found no order"
            );
            return Err(Refusal::new(Code::WhmcsOutcomeUnknown, detail));
        }
        if let Some(wait) = self.wait_for_search(since) {
            return Ok(wait);
        }
        let plan = self.planner.plan()?;
        let above = Some(watermark);
        let Some(orders) = &self.observed.orders else {
            return Ok(Decision::Read(Read::Orders { client, above }));
        };
        match match_orders(&self.planner.search(self.state, &plan, above), orders) {
            MatchResult::Found(order) => Ok(Decision::Record(Fact::Placed { order })),
            MatchResult::Refused(refusal) => Err(refusal),
            MatchResult::Absent => Ok(Decision::Record(Fact::SearchedEmpty { at: self.now })),
        }
    }
}

/// Plans the AddOrder call. `orders` are all of the client's; none of them is ours.
/// `watermark` is that of an earlier AddOrder, if there was one. `catalogue` is `None` where the
/// installation does not show it.
///
/// # Errors
/// `MAPPING_INVALID` when WHMCS does not have a product or does not sell its cycle.
fn place_order(
    details: &OrderDetails,
    plan: &Plan,
    client: ClientId,
    watermark: Option<WhmcsOrderId>,
    orders: &[WhmcsOrder],
    catalogue: Option<&[CatalogueEntry]>,
) -> Result<Effect, Refusal> {
    if let Some(entries) = catalogue {
        check_catalogue(plan, entries)?;
    }
    let highest = orders.iter().map(|order| order.id).max();
    Ok(Effect::PlaceOrder {
        order: NewOrder {
            client,
            marker: details.marker(),
            plan: plan.clone(),
        },
        watermark: watermark.or(highest).unwrap_or(WhmcsOrderId(0)),
    })
}

/// Checks that WHMCS sells every line of the plan.
///
/// # Errors
/// `MAPPING_INVALID`, naming the product and the cycle.
pub fn check_catalogue(plan: &Plan, entries: &[CatalogueEntry]) -> Result<(), Refusal> {
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
