//! Placing the order effectively once.

use domain::failure::{Code, Refusal};
use domain::key::{ClientId, Marker, WhmcsOrderId};
use domain::order::{
    Fact, MarkerCheck, MarkerProof, MatchResult, OrderDetails, Plan, Search, UnknownCall,
    match_orders, verify as compare,
};
use domain::ports::{CallError, NewOrder, StoreError};
use domain::time::Timestamp;

use super::{Attempt, Flow};

/// A search for an order that a lost AddOrder may have made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settling {
    pub(super) client: ClientId,
    /// Only orders above it can be ours.
    pub(super) watermark: WhmcsOrderId,
    /// When the last search was, or the call was lost.
    pub(super) since: Timestamp,
    pub(super) empty_searches: u8,
}

impl Attempt<'_> {
    /// Searches the client's whole list first: that also covers a lost store, an earlier call
    /// that took effect late, and a second bridge. While an earlier call may still do so,
    /// nothing is placed.
    pub(super) async fn place(
        &mut self,
        details: &OrderDetails,
        client: ClientId,
        watermark: Option<WhmcsOrderId>,
        unknown: Option<UnknownCall>,
    ) -> Result<Flow, StoreError> {
        let plan = match self.plan(details) {
            Ok(plan) => plan,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let orders = match self.ports.provisioner.orders(client, None).await {
            Ok(orders) => orders,
            Err(error) => return self.after_no_effect(error).await,
        };
        match match_orders(&self.search(details, &plan, watermark), &orders) {
            MatchResult::Found(order) => return self.learn(Fact::Placed { order }).await,
            MatchResult::Refused(refusal) => return self.refuse(refusal).await,
            MatchResult::Absent => {}
        }
        let settings = self.settings;
        let settled = unknown
            .map(|call| call.expires_at(settings.call_timeout, settings.quiet_period))
            .filter(|settled| self.now() < *settled);
        if let Some(settled) = settled {
            let wait = settled.since(self.now());
            tracing::info!(
                next_search_in_seconds = wait.as_secs(),
                "an earlier AddOrder may still take effect; nothing is placed before the next search"
            );
            return Ok(self.until(settled));
        }
        match self.ports.provisioner.catalogue(&plan.products()).await {
            Ok(Some(entries)) => {
                if let Some(refusal) = unsellable(&plan, &entries) {
                    return self.refuse(refusal).await;
                }
            }
            Ok(None) => {}
            Err(error) => return self.after_no_effect(error).await,
        }
        let highest = orders
            .iter()
            .map(|order| order.id)
            .max()
            .unwrap_or(WhmcsOrderId(0));
        let watermark = watermark.unwrap_or(highest);
        let intent = Fact::Placing {
            at: self.now(),
            watermark,
        };
        if let Some(flow) = self.intend(intent).await? {
            return Ok(flow);
        }
        let order = NewOrder {
            client,
            marker: marker(details),
            plan: plan.clone(),
        };
        match self.ports.provisioner.place_order(&order).await {
            Ok(answer) => {
                self.answered = Some(answer.order);
                self.learn(Fact::Placed {
                    order: answer.order,
                })
                .await
            }
            Err(CallError::Unknown { .. }) => {
                self.learn(Fact::PlaceUnknown { at: self.now() }).await
            }
            Err(CallError::Refused(refusal)) => {
                self.after_refusal(details, &plan, client, watermark, refusal)
                    .await
            }
            Err(error) => {
                self.learn(Fact::NotPlaced).await?;
                self.after_no_effect(error).await
            }
        }
    }

    /// A refusal can be raised late, after the row was written: look once before believing.
    async fn after_refusal(
        &mut self,
        details: &OrderDetails,
        plan: &Plan,
        client: ClientId,
        watermark: WhmcsOrderId,
        refusal: Refusal,
    ) -> Result<Flow, StoreError> {
        let Ok(orders) = self.ports.provisioner.orders(client, Some(watermark)).await else {
            return self.learn(Fact::PlaceUnknown { at: self.now() }).await;
        };
        match match_orders(&self.search(details, plan, Some(watermark)), &orders) {
            MatchResult::Found(order) => self.learn(Fact::Placed { order }).await,
            MatchResult::Absent => {
                self.learn(Fact::NotPlaced).await?;
                self.refuse(refusal).await
            }
            MatchResult::Refused(uncertain) => {
                self.learn(Fact::PlaceUnknown { at: self.now() }).await?;
                self.refuse(uncertain).await
            }
        }
    }

    pub(super) async fn settle_place(
        &mut self,
        details: &OrderDetails,
        search: Settling,
    ) -> Result<Flow, StoreError> {
        let Settling {
            client,
            watermark,
            since,
            empty_searches,
        } = search;
        if empty_searches >= 2 {
            let detail = format!(
                "the answer to AddOrder was lost and two complete searches of client {client} found no order"
            );
            return self
                .refuse(Refusal::new(Code::WhmcsOutcomeUnknown, detail))
                .await;
        }
        let due = since + self.settings.quiet_period;
        if self.now() < due {
            return Ok(self.until(due));
        }
        let plan = match self.plan(details) {
            Ok(plan) => plan,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let orders = match self.ports.provisioner.orders(client, Some(watermark)).await {
            Ok(orders) => orders,
            Err(error) => return self.after_no_effect(error).await,
        };
        match match_orders(&self.search(details, &plan, Some(watermark)), &orders) {
            MatchResult::Found(order) => self.learn(Fact::Placed { order }).await,
            MatchResult::Refused(refusal) => self.refuse(refusal).await,
            MatchResult::Absent => self.learn(Fact::SearchedEmpty { at: self.now() }).await,
        }
    }

    /// Reads the client's orders once more: that verifies the order and finds a second one,
    /// made by something between us and WHMCS that repeated the call.
    ///
    /// Above the watermark is enough when we placed the order ourselves; one that was found
    /// may have its double anywhere.
    pub(super) async fn verify(
        &mut self,
        details: &OrderDetails,
        client: ClientId,
        order: WhmcsOrderId,
        watermark: Option<WhmcsOrderId>,
    ) -> Result<Flow, StoreError> {
        let plan = match self.plan(details) {
            Ok(plan) => plan,
            Err(refusal) => return self.refuse(refusal).await,
        };
        let above = watermark.filter(|watermark| order > *watermark);
        let orders = match self.ports.provisioner.orders(client, above).await {
            Ok(orders) => orders,
            Err(error) => return self.after_no_effect(error).await,
        };
        let seen = orders.iter().find(|seen| seen.id == order);
        let is_marked = seen.is_some_and(|seen| marker(details).is_in(&seen.notes));
        // The order itself is the newest evidence: what was made with it kept its marker or lost
        // it, too.
        let kept = self.claimed.marker_proof.filter(|_| is_marked);
        let kept = kept.map(|kept| MarkerProof {
            to: WhmcsOrderId(u64::MAX),
            ..kept
        });
        let search = Search {
            answered: Some(order),
            marker_proof: kept,
            ..self.search(details, &plan, above)
        };
        match match_orders(&search, &orders) {
            MatchResult::Refused(refusal) => return self.refuse(refusal).await,
            MatchResult::Found(found) if found != order => {
                return self.learn(Fact::Placed { order: found }).await;
            }
            MatchResult::Found(_) | MatchResult::Absent => {}
        }
        let Some(seen) = seen else {
            let detail = format!("WHMCS order {order} is not there any more");
            return self
                .refuse(Refusal::new(Code::WhmcsOrderMismatch, detail))
                .await;
        };
        // Staff write the marker by hand where notes are dropped, so only an order that nobody
        // else can have written to yet shows that WHMCS keeps it.
        let marker = match is_marked {
            true if self.answered == Some(order) => MarkerCheck::Kept,
            true => MarkerCheck::Unchecked,
            false => MarkerCheck::Dropped,
        };
        match compare(seen, &plan, client) {
            Ok(lines) => self.learn(Fact::Verified { lines, marker }).await,
            Err(refusal) => self.refuse(refusal).await,
        }
    }

    fn search<'s>(
        &'s self,
        details: &OrderDetails,
        plan: &'s Plan,
        watermark: Option<WhmcsOrderId>,
    ) -> Search<'s> {
        Search {
            marker: marker(details),
            plan,
            watermark,
            answered: None,
            marker_proof: self.claimed.marker_proof,
            forgotten: &self.state.forgotten,
        }
    }
}

fn marker(details: &OrderDetails) -> Marker {
    Marker {
        org: details.org,
        order: details.id,
    }
}

/// What the catalogue says cannot be bought, before anything is written.
fn unsellable(plan: &Plan, entries: &[domain::ports::CatalogueEntry]) -> Option<Refusal> {
    plan.lines.iter().find_map(|line| {
        let Some(entry) = entries.iter().find(|entry| entry.product == line.product) else {
            let detail = format!("WHMCS has no product {}", line.product);
            return Some(Refusal::new(Code::MappingInvalid, detail));
        };
        entry.closed_cycles.contains(&line.cycle).then(|| {
            let detail = format!(
                "WHMCS does not sell product {} {}",
                line.product, line.cycle
            );
            Refusal::new(Code::MappingInvalid, detail)
        })
    })
}
