//! Access to Salesforce, with outages, lost replies and concurrent edits.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::{AccountId, OrderId};
use domain::key::ClientId;
use domain::order::{ItemReport, OrderDetails, OrderGuard, Report};
use domain::ports::{CrmOrders, Pending, PendingActivations, ReportAnswer};
use testkit::CallResult;

use super::{SimProcess, not_sent, unknown};
use crate::promise::Promise;
use crate::state::crm::{Crm, ReportResult};

impl SimProcess {
    async fn call_crm<T: Send>(
        &self,
        what: impl FnOnce() -> String + Send,
        action: impl FnOnce(&Crm) -> T + Send,
    ) -> CallResult<T> {
        self.until_resumed().await;
        let faults = &self.world.faults;
        self.network_delay().await;
        if self.world.is_down(|outages| outages.crm) || self.injects(faults.crm_unavailable) {
            self.say(|| format!("CRM: {} → not sent", what()));
            self.until_resumed().await;
            return Err(not_sent());
        }
        let done = action(&self.world.crm);
        let lost = self.injects(faults.crm_lost);
        self.say(|| {
            format!(
                "CRM: {} → {}",
                what(),
                if lost { "reply lost" } else { "done" }
            )
        });
        if lost {
            self.network_delay().await;
        }
        self.until_resumed().await;
        if lost { Err(unknown()) } else { Ok(done) }
    }
}

#[async_trait]
impl CrmOrders for SimProcess {
    async fn details(&self, order: OrderId) -> CallResult<Option<OrderDetails>> {
        let what = || format!("details of {order}");
        self.call_crm(what, |crm| crm.details(order)).await
    }

    async fn order_guard(&self, order: OrderId) -> CallResult<Option<OrderGuard>> {
        let what = || format!("guard of {order}");
        self.call_crm(what, |crm| crm.order_guard(order)).await
    }

    async fn link_client(&self, account: AccountId, client: ClientId) -> CallResult<()> {
        let what = || format!("link client {client} to {account}");
        self.call_crm(what, |crm| crm.link(account, client)).await
    }

    async fn report_items(&self, items: &[ItemReport]) -> CallResult<()> {
        let what = || format!("items {items:?}");
        self.call_crm(what, |crm| crm.report_items(items)).await
    }

    async fn report(&self, order: OrderId, report: &Report) -> CallResult<ReportAnswer> {
        // A concurrent edit that does not change the status.
        let touched = self.injects(self.world.faults.crm_conflict);
        let what = || format!("report {order} {:?}", report.outcome);
        let result = self
            .call_crm(what, |crm| {
                if touched {
                    crm.edit(order, |_| {});
                }
                let result = crm.report(order, report);
                if result == ReportResult::Unguarded {
                    let detail = format!("{order}: {:?}", report.outcome);
                    self.world.breaches.record(Promise::GuardedReport, detail);
                }
                result
            })
            .await?;
        Ok(match result {
            ReportResult::Conflict => ReportAnswer::Conflict,
            ReportResult::Written | ReportResult::Unguarded => ReportAnswer::Written,
        })
    }
}

#[async_trait]
impl PendingActivations for SimProcess {
    async fn pending(
        &self,
        older_than: Duration,
        after: Option<OrderId>,
        limit: usize,
    ) -> CallResult<Vec<Pending>> {
        let what = || format!("pending for {older_than:?}");
        // Salesforce's clock, not the caller's.
        let world = &self.world;
        self.call_crm(what, |crm| {
            crm.pending(world.now() - older_than, after, limit)
        })
        .await
    }
}
