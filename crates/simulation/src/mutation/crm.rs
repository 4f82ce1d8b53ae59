//! Removes the order guard.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::id::{AccountId, OrderId};
use domain::key::ClientId;
use domain::order::{ActivationStatus, ItemReport, OrderDetails, OrderGuard, Report};
use domain::ports::{CallError, CrmOrders, ReportAnswer};

use crate::trace::lock;

/// Always returns the order's first state, `Activating` with our key, without a version.
pub(super) struct NoGuard {
    inner: Arc<dyn CrmOrders>,
    first: Mutex<Vec<(OrderId, OrderDetails)>>,
}

impl NoGuard {
    pub(super) fn new(inner: Arc<dyn CrmOrders>) -> Self {
        Self {
            inner,
            first: Mutex::default(),
        }
    }
}

#[async_trait]
impl CrmOrders for NoGuard {
    async fn details(&self, order: OrderId) -> Result<Option<OrderDetails>, CallError> {
        let details = self.inner.details(order).await?;
        if let Some(details) = details
            .clone()
            .filter(|details| details.activation == ActivationStatus::Activating)
        {
            let mut first = lock(&self.first);
            first.retain(|(known, _)| *known != order);
            first.push((order, details));
        }
        Ok(details)
    }

    async fn order_guard(&self, order: OrderId) -> Result<Option<OrderGuard>, CallError> {
        let standing = self.inner.order_guard(order).await?;
        let first = lock(&self.first);
        let ours = first.iter().find(|(known, _)| *known == order);
        Ok(standing.map(|standing| OrderGuard {
            activation: ActivationStatus::Activating,
            idem_key: match ours {
                Some((_, details)) => details.idem_key.clone(),
                None => standing.idem_key,
            },
            version: None,
            read_at: None,
        }))
    }

    async fn link_client(&self, account: AccountId, client: ClientId) -> Result<(), CallError> {
        self.inner.link_client(account, client).await
    }

    async fn report_items(&self, items: &[ItemReport]) -> Result<(), CallError> {
        self.inner.report_items(items).await
    }

    async fn report(&self, order: OrderId, report: &Report) -> Result<ReportAnswer, CallError> {
        self.inner.report(order, report).await
    }
}
