//! The provisioning system.

use async_trait::async_trait;

use crate::key::{ClientId, Marker, ProductId, ServiceId, WhmcsOrderId};
use crate::order::{Catalogue, Contact, Cycle, Observed, Plan, Read, WhmcsClient, WhmcsOrder};
use crate::ports::CallError;

/// A client to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClient {
    /// Name, address, e-mail, phone.
    pub contact: Contact,
}

/// An order to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// The client.
    pub client: ClientId,
    /// The marker it must carry.
    pub marker: Marker,
    /// Its lines.
    pub plan: Plan,
}

/// The answer of AddOrder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceAnswer {
    /// The new order.
    pub order: WhmcsOrderId,
}

/// How a product's provisioning module may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// Listed in the configuration as safe to call again.
    Idempotent,
    /// The product has none: nothing can be created twice.
    None,
    /// Not listed.
    Unlisted,
}

/// A product of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The product.
    pub product: ProductId,
    /// Its module.
    pub module: Module,
    /// The cycles that cannot be ordered, where the catalogue shows them.
    pub closed_cycles: Vec<Cycle>,
}

/// The module behind a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its system name; empty when there is none.
    pub name: String,
    /// How it may be used.
    pub kind: ModuleKind,
}

/// How much of each order a search must show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderDetail {
    /// What carries our markers. Products may be missing where no line carries a marker.
    Markers,
    /// Every service with its product, cycle, status and marker.
    Services,
}

/// How old the answer to a read may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// Up to a minute.
    Recent,
    /// Read after the call began.
    Now,
}

/// Reads of the provisioning system. They have no effect and may be repeated.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait ProvisionerReads: Send + Sync {
    /// The client, or `None` when there is none.
    ///
    /// # Errors
    /// [`CallError`].
    async fn client(&self, client: ClientId) -> Result<Option<WhmcsClient>, CallError>;

    /// The client with exactly this e-mail address.
    ///
    /// # Errors
    /// [`CallError`].
    async fn client_by_email(&self, email: &str) -> Result<Option<WhmcsClient>, CallError>;

    /// The catalogue entries of these products; a product that does not exist is missing.
    /// `None` when the catalogue cannot be read on this install.
    ///
    /// # Errors
    /// [`CallError`].
    async fn catalogue(
        &self,
        products: &[ProductId],
        freshness: Freshness,
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError>;

    /// All orders of the client with an id above `above`. The list is complete or an error: a
    /// partial list must never look like "not found".
    ///
    /// # Errors
    /// [`CallError`].
    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
        detail: OrderDetail,
    ) -> Result<Vec<WhmcsOrder>, CallError>;

    /// One order with its current services, or `None` when it was deleted.
    ///
    /// # Errors
    /// [`CallError`].
    async fn order(
        &self,
        client: ClientId,
        order: WhmcsOrderId,
    ) -> Result<Option<WhmcsOrder>, CallError>;

    /// A harmless read, to check whether we have access.
    ///
    /// # Errors
    /// [`CallError`].
    async fn probe(&self) -> Result<(), CallError>;
}

/// Performs a read that the planner asked for and returns its answer. Reads of one decision may run
/// side by side.
///
/// # Errors
/// [`CallError`].
pub async fn observe(reads: &dyn ProvisionerReads, read: &Read) -> Result<Observed, CallError> {
    let mut observed = Observed::default();
    match read {
        Read::Client(client) => observed.client = Some(reads.client(*client).await?),
        Read::ClientByEmail(email) => observed.client = Some(reads.client_by_email(email).await?),
        Read::Orders {
            client,
            above,
            detail,
        } => observed.orders = Some(reads.orders(*client, *above, *detail).await?),
        Read::Order { client, order } => {
            observed.order = Some(reads.order(*client, *order).await?);
        }
        Read::Catalogue {
            products,
            freshness,
        } => {
            observed.catalogue = Some(Catalogue {
                entries: reads.catalogue(products, *freshness).await?,
                freshness: *freshness,
            });
        }
    }
    Ok(observed)
}

/// Effects of the provisioning system.
///
/// It has no idempotency keys: search for our marker first, commit an intent before the call, and
/// never repeat an effect after [`CallError::Unknown`]. Each effect is one external call.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Provisioner: Send + Sync {
    /// Creates a client.
    ///
    /// # Errors
    /// [`CallError`].
    async fn create_client(&self, client: &NewClient) -> Result<ClientId, CallError>;

    /// Places an order. It activates nothing.
    ///
    /// # Errors
    /// [`CallError`].
    async fn place_order(&self, order: &NewOrder) -> Result<PlaceAnswer, CallError>;

    /// Accepts an order, with or without running the modules of its services.
    ///
    /// # Errors
    /// [`CallError`]; `Refused` with the module's message when it failed.
    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> Result<(), CallError>;

    /// Runs the module of one service. Succeeds for a service without a module.
    ///
    /// # Errors
    /// As [`accept_order`](Self::accept_order).
    async fn create_service(&self, service: ServiceId) -> Result<(), CallError>;
}
