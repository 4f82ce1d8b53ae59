//! Provisioners that do not tell the whole truth.

use std::sync::Arc;

use async_trait::async_trait;
use domain::key::{ClientId, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{WhmcsClient, WhmcsOrder, ServiceStatus};
use domain::ports::{
    CallError, CatalogueEntry, ModuleKind, NewClient, NewOrder, PlaceAnswer, Provisioner,
};

use crate::world::World;

/// A provisioner whose reads are bent.
pub(super) struct Bent {
    inner: Arc<dyn Provisioner>,
    world: Arc<World>,
    /// An order is found only once an answer has named it.
    blind: bool,
    /// Services are shown as pending, and every module as one that bears being called again.
    unread: bool,
}

impl Bent {
    pub(super) fn blind(inner: Arc<dyn Provisioner>, world: &Arc<World>) -> Self {
        Self {
            inner,
            world: Arc::clone(world),
            blind: true,
            unread: false,
        }
    }

    pub(super) fn unread(inner: Arc<dyn Provisioner>, world: &Arc<World>) -> Self {
        Self {
            inner,
            world: Arc::clone(world),
            blind: false,
            unread: true,
        }
    }
}

#[async_trait]
impl Provisioner for Bent {
    async fn client(&self, client: ClientId) -> Result<Option<WhmcsClient>, CallError> {
        self.inner.client(client).await
    }

    async fn client_by_email(&self, email: &str) -> Result<Option<WhmcsClient>, CallError> {
        self.inner.client_by_email(email).await
    }

    async fn catalogue(
        &self,
        products: &[ProductId],
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError> {
        let mut entries = self.inner.catalogue(products).await?;
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
    ) -> Result<Vec<WhmcsOrder>, CallError> {
        let mut orders = self.inner.orders(client, above).await?;
        if self.blind {
            let all = self.world.whmcs.all();
            let answered = |id| {
                all.iter()
                    .any(|placed| placed.sighting.id == id && placed.answered)
            };
            orders.retain(|order| answered(order.id));
        }
        Ok(orders)
    }

    async fn order(
        &self,
        client: ClientId,
        order: WhmcsOrderId,
    ) -> Result<Option<WhmcsOrder>, CallError> {
        let mut seen = self.inner.order(client, order).await?;
        if self.unread {
            for line in seen.iter_mut().flat_map(|order| order.lines.iter_mut()) {
                line.status = ServiceStatus::Pending;
            }
        }
        Ok(seen)
    }

    async fn create_client(&self, client: &NewClient) -> Result<ClientId, CallError> {
        self.inner.create_client(client).await
    }

    async fn place_order(&self, order: &NewOrder) -> Result<PlaceAnswer, CallError> {
        self.inner.place_order(order).await
    }

    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> Result<(), CallError> {
        self.inner.accept_order(order, run_modules).await
    }

    async fn create_service(&self, service: ServiceId) -> Result<(), CallError> {
        self.inner.create_service(service).await
    }

    async fn probe(&self) -> Result<(), CallError> {
        self.inner.probe().await
    }
}
