//! Placing an order that does not exist yet.

use super::decide::{Moment, effect};
use crate::failure::{Code, Refusal};
use crate::key::{ClientId, WhmcsOrderId};
use crate::order::{
    Decision, Effect, Fact, MatchResult, OrderDetails, Plan, Planner, Read, Reads, UnknownCall,
    WaitReason, WhmcsOrder, match_orders,
};
use crate::ports::{CatalogueEntry, Freshness, NewOrder, OrderDetail};
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
        let until = unknown.map(|call| call.expires_at(rules.call_timeout, rules.quiet_period));
        let until = until.filter(|until| self.now < *until);
        let Some(orders) = &self.observed.orders else {
            let ahead = match self.observed.catalogue {
                None if until.is_none() => vec![catalogue(&plan, Freshness::Recent)],
                _ => Vec::new(),
            };
            return Ok(Decision::Read(Reads {
                ahead,
                ..search_before_placing(client, watermark).into()
            }));
        };
        match match_orders(&self.planner.search(self.state, &plan, watermark), orders) {
            MatchResult::Found(order) => return Ok(Decision::Record(Fact::Placed { order })),
            MatchResult::Refused(refusal) => return Err(refusal),
            MatchResult::Absent => {}
        }
        if let Some(until) = until {
            let reason = WaitReason::EarlierOrder;
            return Ok(Decision::Wait { until, reason });
        }
        let freshness = match &self.observed.catalogue {
            None => Freshness::Recent,
            Some(seen) => match check_catalogue(&plan, seen.entries.as_deref()) {
                Ok(()) => return Ok(place_order(details, plan, client, watermark, orders)),
                // An administrator's correction must work at once.
                Err(_) if seen.freshness == Freshness::Recent => Freshness::Now,
                Err(refusal) => return Err(refusal),
            },
        };
        Ok(Decision::Read(catalogue(&plan, freshness).into()))
    }

    /// What placing an order for this client will need: to be read beside the client, while it is
    /// not known yet whether it is open.
    pub(super) fn reads_before_placing(&self, client: ClientId, plan: &Plan) -> Vec<Read> {
        let watermark = self.state.watermark_of(client);
        vec![
            search_before_placing(client, watermark),
            catalogue(plan, Freshness::Recent),
        ]
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
            let detail = OrderDetail::Services;
            let search = Read::Orders {
                client,
                above,
                detail,
            };
            return Ok(Decision::Read(search.into()));
        };
        match match_orders(&self.planner.search(self.state, &plan, above), orders) {
            MatchResult::Found(order) => Ok(Decision::Record(Fact::Placed { order })),
            MatchResult::Refused(refusal) => Err(refusal),
            MatchResult::Absent => Ok(Decision::Record(Fact::SearchedEmpty { at: self.now })),
        }
    }
}

/// The search of the client's whole list before AddOrder. Without an earlier AddOrder only markers
/// are compared, since an unmarked order cannot be ours.
fn search_before_placing(client: ClientId, watermark: Option<WhmcsOrderId>) -> Read {
    Read::Orders {
        client,
        above: None,
        detail: match watermark {
            None => OrderDetail::Markers,
            Some(_) => OrderDetail::Services,
        },
    }
}

fn catalogue(plan: &Plan, freshness: Freshness) -> Read {
    Read::Catalogue {
        products: plan.products(),
        freshness,
    }
}

/// Plans the AddOrder call. `orders` are all of the client's; none of them is ours.
/// `watermark` is that of an earlier AddOrder, if there was one.
fn place_order(
    details: &OrderDetails,
    plan: Plan,
    client: ClientId,
    watermark: Option<WhmcsOrderId>,
    orders: &[WhmcsOrder],
) -> Decision {
    let highest = orders.iter().map(|order| order.id).max();
    effect(Effect::PlaceOrder {
        order: NewOrder {
            client,
            marker: details.marker(),
            plan,
        },
        watermark: watermark.or(highest).unwrap_or(WhmcsOrderId(0)),
    })
}

/// Checks the plan against the catalogue; `None` where the installation does not show it.
///
/// # Errors
/// `MAPPING_INVALID` when WHMCS does not have a product or does not sell its cycle.
pub fn check_catalogue(plan: &Plan, entries: Option<&[CatalogueEntry]>) -> Result<(), Refusal> {
    let Some(entries) = entries else {
        return Ok(());
    };
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
