//! Calls to WHMCS that must never be repeated blindly.

use domain::failure::Refusal;
use domain::key::{ClientId, WhmcsOrderId};
use domain::order::{Effect, Fact};
use domain::ports::{CallAction, CallError, OrderDetail, StoreError};

use super::{Attempt, Flow};

impl Attempt<'_> {
    /// Commits the intent, makes the call, and records its outcome.
    ///
    /// A lost reply is recorded as unknown, never as failed; a call that certainly had no effect is
    /// tried again within the retry budget.
    pub(super) async fn perform(&mut self, effect: Effect) -> Result<Flow, StoreError> {
        if let Some(flow) = self.record_intent(&effect).await? {
            return Ok(flow);
        }
        match self.call(&effect).await {
            Ok(Some(fact)) => self.record(fact).await,
            Ok(None) => Ok(Flow::Continue),
            Err(CallError::Refused(refusal)) => self.after_refusal(effect, refusal).await,
            Err(CallError::Unknown { .. }) => self.record(effect.unknown(self.now())).await,
            Err(error) => {
                self.record(effect.without_effect()).await?;
                self.after_no_effect(error).await
            }
        }
    }

    /// Makes the call. Returns the fact to record.
    async fn call(&mut self, effect: &Effect) -> Result<Option<Fact>, CallError> {
        let (whmcs, answers) = (&self.ports.provisioner, &mut self.answers);
        let call = async {
            Ok(match effect {
                // Its fact follows once the account is linked to it.
                Effect::CreateClient(client) => {
                    answers.client = Some(whmcs.create_client(client).await?);
                    None
                }
                Effect::PlaceOrder { order, .. } => {
                    let order = whmcs.place_order(order).await?.order;
                    answers.order = Some(order);
                    Some(Fact::Placed { order })
                }
                Effect::AcceptOrder { order, run_modules } => {
                    whmcs.accept_order(*order, *run_modules).await?;
                    Some(Fact::AcceptAnswered)
                }
                Effect::CreateService(service) => {
                    whmcs.create_service(*service).await?;
                    Some(Fact::Created { service: *service })
                }
            })
        };
        self.calls.time(effect.action(), call).await
    }

    async fn after_refusal(
        &mut self,
        effect: Effect,
        refusal: Refusal,
    ) -> Result<Flow, StoreError> {
        let text = refusal.detail.clone();
        let facts = match effect {
            Effect::CreateClient(_) => {
                self.answers.client_refused = Some(refusal);
                vec![Fact::ClientNotCreated]
            }
            Effect::PlaceOrder { order, watermark } => {
                self.facts_of_refused_order(order.client, watermark, refusal)
                    .await
            }
            Effect::AcceptOrder { .. } => vec![Fact::AcceptFailed { text }],
            Effect::CreateService(service) => vec![Fact::CreateFailed { service, text }],
        };
        for fact in facts {
            self.record(fact).await?;
        }
        Ok(Flow::Continue)
    }

    async fn facts_of_refused_order(
        &self,
        client: ClientId,
        watermark: WhmcsOrderId,
        refusal: Refusal,
    ) -> Vec<Fact> {
        let detail = OrderDetail::Services;
        let call = self.ports.reads.orders(client, Some(watermark), detail);
        let orders = self.calls.time(CallAction::GetOrders, call).await.ok();
        let (orders, now) = (orders.as_deref(), self.now());
        match &self.details {
            Some(details) => self.planner(details).after_refused_order(
                &self.state,
                watermark,
                orders,
                refusal,
                now,
            ),
            None => vec![Fact::PlaceUnknown { at: now }],
        }
    }
}
