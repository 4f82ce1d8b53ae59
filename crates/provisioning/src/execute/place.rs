//! Places the order effectively once.

use domain::failure::{Code, Refusal};
use domain::key::{ClientId, WhmcsOrderId};
use domain::order::{
    Fact, MarkerCheck, MatchResult, OrderDetails, Placement, Plan, Search, UnknownCall,
    Verification, match_orders, place_order, verify_placed,
};
use domain::ports::{CallError, StoreError};
use domain::time::Timestamp;

use super::{Attempt, Flow};

/// A search for an order that an unknown AddOrder may have created.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reconciliation {
    pub(super) client: ClientId,
    /// Only orders with a higher id can be ours.
    pub(super) watermark: WhmcsOrderId,
    /// Time of the last search, or of the lost call.
    pub(super) since: Timestamp,
    pub(super) empty_searches: u8,
}

impl Attempt<'_> {
    /// Searches the client's whole list first: that also covers a lost store, an earlier call that
    /// took effect late, and a second installation. While an earlier call may still take effect,
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
            Err(refusal) => return self.fail(refusal).await,
        };
        let orders = match self.ports.reads.orders(client, None).await {
            Ok(orders) => orders,
            Err(error) => return self.after_no_effect(error).await,
        };
        match match_orders(&self.search(details, &plan, watermark), &orders) {
            MatchResult::Found(order) => return self.record(Fact::Placed { order }).await,
            MatchResult::Refused(refusal) => return self.fail(refusal).await,
            MatchResult::Absent => {}
        }
        let settings = self.settings;
        let wait_until = unknown
            .map(|call| call.expires_at(settings.call_timeout, settings.quiet_period))
            .filter(|until| self.now() < *until);
        if let Some(until) = wait_until {
            let wait = until.since(self.now());
            tracing::info!(
                next_search_in_seconds = wait.as_secs(),
                "an earlier AddOrder may still take effect; waiting for the next search"
            );
            return Ok(self.until(until));
        }
        let catalogue = match self.ports.reads.catalogue(&plan.products()).await {
            Ok(catalogue) => catalogue,
            Err(error) => return self.after_no_effect(error).await,
        };
        let planned = place_order(
            details,
            &plan,
            client,
            watermark,
            &orders,
            catalogue.as_deref(),
        );
        let Placement {
            order, watermark, ..
        } = match planned {
            Ok(placement) => placement,
            Err(refusal) => return self.fail(refusal).await,
        };
        let intent = Fact::Placing {
            at: self.now(),
            watermark,
        };
        if let Some(flow) = self.record_intent(intent).await? {
            return Ok(flow);
        }
        match self.ports.provisioner.place_order(&order).await {
            Ok(answer) => {
                self.answered = Some(answer.order);
                self.record(Fact::Placed {
                    order: answer.order,
                })
                .await
            }
            Err(CallError::Unknown { .. }) => {
                self.record(Fact::PlaceUnknown { at: self.now() }).await
            }
            Err(CallError::Refused(refusal)) => {
                self.after_refusal(details, &plan, client, watermark, refusal)
                    .await
            }
            Err(error) => {
                self.record(Fact::NotPlaced).await?;
                self.after_no_effect(error).await
            }
        }
    }

    /// WHMCS can refuse after the row was written, so search once before trusting a refusal.
    async fn after_refusal(
        &mut self,
        details: &OrderDetails,
        plan: &Plan,
        client: ClientId,
        watermark: WhmcsOrderId,
        refusal: Refusal,
    ) -> Result<Flow, StoreError> {
        let Ok(orders) = self.ports.reads.orders(client, Some(watermark)).await else {
            return self.record(Fact::PlaceUnknown { at: self.now() }).await;
        };
        match match_orders(&self.search(details, plan, Some(watermark)), &orders) {
            MatchResult::Found(order) => self.record(Fact::Placed { order }).await,
            MatchResult::Absent => {
                self.record(Fact::NotPlaced).await?;
                self.fail(refusal).await
            }
            MatchResult::Refused(uncertain) => {
                self.record(Fact::PlaceUnknown { at: self.now() }).await?;
                self.fail(uncertain).await
            }
        }
    }

    pub(super) async fn reconcile_placement(
        &mut self,
        details: &OrderDetails,
        search: Reconciliation,
    ) -> Result<Flow, StoreError> {
        let Reconciliation {
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
                .fail(Refusal::new(Code::WhmcsOutcomeUnknown, detail))
                .await;
        }
        let due = since + self.settings.quiet_period;
        if self.now() < due {
            return Ok(self.until(due));
        }
        let plan = match self.plan(details) {
            Ok(plan) => plan,
            Err(refusal) => return self.fail(refusal).await,
        };
        let orders = match self.ports.reads.orders(client, Some(watermark)).await {
            Ok(orders) => orders,
            Err(error) => return self.after_no_effect(error).await,
        };
        match match_orders(&self.search(details, &plan, Some(watermark)), &orders) {
            MatchResult::Found(order) => self.record(Fact::Placed { order }).await,
            MatchResult::Refused(refusal) => self.fail(refusal).await,
            MatchResult::Absent => self.record(Fact::SearchedEmpty { at: self.now() }).await,
        }
    }

    /// Reads the client's orders once more: that verifies the order and finds a duplicate created
    /// by a proxy that repeated the call.
    ///
    /// Orders above the watermark are enough when we placed the order ourselves; the duplicate of
    /// an adopted one may be anywhere.
    pub(super) async fn verify(
        &mut self,
        details: &OrderDetails,
        client: ClientId,
        order: WhmcsOrderId,
        watermark: Option<WhmcsOrderId>,
    ) -> Result<Flow, StoreError> {
        let plan = match self.plan(details) {
            Ok(plan) => plan,
            Err(refusal) => return self.fail(refusal).await,
        };
        let above = watermark.filter(|watermark| order > *watermark);
        let orders = match self.ports.reads.orders(client, above).await {
            Ok(orders) => orders,
            Err(error) => return self.after_no_effect(error).await,
        };
        let search = self.search(details, &plan, above);
        match verify_placed(search, client, order, &orders) {
            // Staff may add the marker by hand where notes are dropped, so only an order that
            // AddOrder just returned proves that WHMCS keeps it.
            Ok(Verification::Verified { lines, is_marked }) => {
                let marker = match is_marked {
                    true if self.answered == Some(order) => MarkerCheck::Kept,
                    true => MarkerCheck::Unchecked,
                    false => MarkerCheck::Dropped,
                };
                self.record(Fact::Verified { lines, marker }).await
            }
            Ok(Verification::Replaced(order)) => self.record(Fact::Placed { order }).await,
            Err(refusal) => self.fail(refusal).await,
        }
    }

    fn search<'s>(
        &'s self,
        details: &OrderDetails,
        plan: &'s Plan,
        watermark: Option<WhmcsOrderId>,
    ) -> Search<'s> {
        Search {
            marker: details.marker(),
            plan,
            watermark,
            answered: None,
            marker_proof: self.claimed.marker_proof,
            forgotten: &self.state.forgotten,
        }
    }
}
