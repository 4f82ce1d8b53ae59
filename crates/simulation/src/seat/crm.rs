//! The way to Salesforce: away, replies lost, writes in between.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::{AccountId, OrderId};
use domain::key::ClientId;
use domain::order::{
    RetryAnswer, CustomerOrder, ItemReport, OrderDetails, PlaceRequest, Placed, Report, OrderGuard,
};
use domain::ports::{CallError, CrmOrders, Pending, ReportAnswer};

use super::{Seat, not_sent, unknown};
use crate::books::crm::{Crm, Met};
use crate::judge::Promise;

impl Seat {
    async fn call_crm<T: Send>(
        &self,
        what: impl FnOnce() -> String + Send,
        deed: impl FnOnce(&Crm) -> T + Send,
    ) -> Result<T, CallError> {
        self.here().await;
        let climate = &self.world.climate;
        self.travel().await;
        if self.world.is_down(|outages| outages.crm) || self.strikes(climate.crm_away) {
            self.say(|| format!("CRM: {} → not sent", what()));
            self.here().await;
            return Err(not_sent());
        }
        let done = deed(&self.world.crm);
        let lost = self.strikes(climate.crm_lost);
        self.say(|| {
            format!(
                "CRM: {} → {}",
                what(),
                if lost { "reply lost" } else { "done" }
            )
        });
        if lost {
            self.travel().await;
        }
        self.here().await;
        if lost { Err(unknown()) } else { Ok(done) }
    }
}

#[async_trait]
impl CrmOrders for Seat {
    async fn details(&self, order: OrderId) -> Result<Option<OrderDetails>, CallError> {
        let what = || format!("details of {order}");
        self.call_crm(what, |crm| crm.details(order)).await
    }

    async fn order_guard(&self, order: OrderId) -> Result<Option<OrderGuard>, CallError> {
        let what = || format!("standing of {order}");
        self.call_crm(what, |crm| crm.order_guard(order)).await
    }

    async fn link_client(&self, account: AccountId, client: ClientId) -> Result<(), CallError> {
        let what = || format!("link client {client} to {account}");
        self.call_crm(what, |crm| crm.link(account, client)).await
    }

    async fn report_items(&self, items: &[ItemReport]) -> Result<(), CallError> {
        let what = || format!("items {items:?}");
        self.call_crm(what, |crm| crm.report_items(items)).await
    }

    async fn report(&self, order: OrderId, report: &Report) -> Result<ReportAnswer, CallError> {
        // Somebody edits the order, and it stays what it is.
        let touched = self.strikes(self.world.climate.crm_conflict);
        let what = || format!("report {order} {:?}", report.outcome);
        let met = self
            .call_crm(what, |crm| {
                if touched {
                    crm.edit(order, |_| {});
                }
                let met = crm.report(order, report);
                if met == Met::Unguarded {
                    let detail = format!("{order}: {:?}", report.outcome);
                    self.world.judge.broken(Promise::GuardedReport, detail);
                }
                met
            })
            .await?;
        Ok(match met {
            Met::Conflict => ReportAnswer::Conflict,
            Met::Written | Met::Unguarded => ReportAnswer::Written,
        })
    }

    async fn pending(
        &self,
        older_than: Duration,
        after: Option<OrderId>,
        limit: usize,
    ) -> Result<Vec<Pending>, CallError> {
        let what = || format!("pending for {older_than:?}");
        // Salesforce's clock, not the caller's.
        let world = &self.world;
        self.call_crm(what, |crm| {
            crm.pending(world.now() - older_than, after, limit)
        })
        .await
    }

    async fn place(&self, _request: &PlaceRequest) -> Result<Placed, CallError> {
        // Customers and consoles are no part of the simulated worlds.
        Err(not_sent())
    }

    async fn customer_orders(&self, _orders: &[OrderId]) -> Result<Vec<CustomerOrder>, CallError> {
        Err(not_sent())
    }

    async fn request_retry(&self, _order: OrderId) -> Result<RetryAnswer, CallError> {
        Err(not_sent())
    }
}
