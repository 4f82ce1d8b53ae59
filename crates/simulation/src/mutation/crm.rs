//! Removes the order guard.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::id::OrderId;
use domain::order::{ActivationStatus, OrderDetails, OrderGuard};
use domain::ports::{CallError, CrmOrders};
use testkit::CallResult;
use testkit::intercept::{Around, CrmOrdersHooks};

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

testkit::inner!(NoGuard: CrmOrders = inner);

impl Around<CallError> for NoGuard {}

#[async_trait]
impl CrmOrdersHooks for NoGuard {
    async fn details(&self, order: OrderId) -> CallResult<Option<OrderDetails>> {
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

    async fn order_guard(&self, order: OrderId) -> CallResult<Option<OrderGuard>> {
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
            status_pending: false,
        }))
    }
}
