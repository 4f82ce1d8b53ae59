//! Mutations of provisioner reads.

use std::sync::Arc;

use async_trait::async_trait;
use domain::key::{ClientId, ProductId, WhmcsOrderId};
use domain::order::{ServiceStatus, WhmcsOrder};
use domain::ports::{
    CallError, CatalogueEntry, Freshness, ModuleKind, OrderDetail, ProvisionerReads,
};
use testkit::CallResult;
use testkit::intercept::{Around, ProvisionerReadsHooks};

use crate::world::World;

/// A provisioner whose reads are mutated.
pub(super) struct MutatedReads {
    inner: Arc<dyn ProvisionerReads>,
    world: Arc<World>,
    /// Hides orders whose id no response has named.
    blind: bool,
    /// Shows services as pending and every module as idempotent.
    unread: bool,
}

impl MutatedReads {
    pub(super) fn blind(inner: Arc<dyn ProvisionerReads>, world: &Arc<World>) -> Self {
        Self {
            inner,
            world: Arc::clone(world),
            blind: true,
            unread: false,
        }
    }

    pub(super) fn unread(inner: Arc<dyn ProvisionerReads>, world: &Arc<World>) -> Self {
        Self {
            inner,
            world: Arc::clone(world),
            blind: false,
            unread: true,
        }
    }
}

testkit::inner!(MutatedReads: ProvisionerReads = inner);

impl Around<CallError> for MutatedReads {}

#[async_trait]
impl ProvisionerReadsHooks for MutatedReads {
    async fn catalogue(
        &self,
        products: &[ProductId],
        freshness: Freshness,
    ) -> CallResult<Option<Vec<CatalogueEntry>>> {
        let mut entries = self.inner.catalogue(products, freshness).await?;
        if self.unread {
            for entry in entries.iter_mut().flatten() {
                entry.module.kind = ModuleKind::Idempotent;
            }
        }
        Ok(entries)
    }

    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
        detail: OrderDetail,
    ) -> CallResult<Vec<WhmcsOrder>> {
        let mut orders = self.inner.orders(client, above, detail).await?;
        if self.blind {
            let all = self.world.whmcs.all();
            let answered = |id| {
                all.iter()
                    .any(|placed| placed.row.id == id && placed.answered)
            };
            orders.retain(|order| answered(order.id));
        }
        Ok(orders)
    }

    async fn order(&self, client: ClientId, order: WhmcsOrderId) -> CallResult<Option<WhmcsOrder>> {
        let mut seen = self.inner.order(client, order).await?;
        if self.unread {
            for line in seen.iter_mut().flat_map(|order| order.lines.iter_mut()) {
                line.status = ServiceStatus::Pending;
            }
        }
        Ok(seen)
    }
}
