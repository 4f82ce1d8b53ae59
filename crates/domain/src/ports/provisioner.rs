//! Where services are made.

use async_trait::async_trait;

use crate::key::{ClientId, Marker, ProductId, ServiceId, WhmcsOrderId};
use crate::order::{Contact, Cycle, Plan, WhmcsClient, WhmcsOrder};
use crate::ports::CallError;

/// A client to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClient {
    /// Name, addresses, phone.
    pub contact: Contact,
}

/// An order to place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// For this client.
    pub client: ClientId,
    /// The mark it must carry.
    pub marker: Marker,
    /// Its lines.
    pub plan: Plan,
}

/// What AddOrder answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlaceAnswer {
    /// The new order.
    pub order: WhmcsOrderId,
}

/// What is known of a product's provisioning module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleKind {
    /// Listed in our settings as safe to call again.
    Idempotent,
    /// The product has none: nothing can be built twice.
    None,
    /// Neither.
    Unlisted,
}

/// A product of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The product.
    pub product: ProductId,
    /// Its module.
    pub module: Module,
    /// The cycles that cannot be bought, where the catalogue says so.
    pub closed_cycles: Vec<Cycle>,
}

/// The module behind a product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Its system name; empty when there is none.
    pub name: String,
    /// What may be done with it.
    pub kind: ModuleKind,
}

/// The provisioning system.
///
/// It has no request keys: an effect is *observed* first by our own mark, an intent is
/// committed before the call, and an effect is never repeated after
/// [`CallError::Unknown`]. Each effect is one call outside.
#[async_trait]
pub trait Provisioner: Send + Sync {
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
    ) -> Result<Option<Vec<CatalogueEntry>>, CallError>;

    /// All orders of the client with an id above `above`, complete or an error: a partial
    /// list must never look like "not found".
    ///
    /// # Errors
    /// [`CallError`].
    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
    ) -> Result<Vec<WhmcsOrder>, CallError>;

    /// One order with its services as they stand now, or `None` when it is gone.
    ///
    /// # Errors
    /// [`CallError`].
    async fn order(
        &self,
        client: ClientId,
        order: WhmcsOrderId,
    ) -> Result<Option<WhmcsOrder>, CallError>;

    /// Effect: creates a client.
    ///
    /// # Errors
    /// [`CallError`].
    async fn create_client(&self, client: &NewClient) -> Result<ClientId, CallError>;

    /// Effect: places an order. Nothing is set up by it.
    ///
    /// # Errors
    /// [`CallError`].
    async fn place_order(&self, order: &NewOrder) -> Result<PlaceAnswer, CallError>;

    /// Effect: accepts an order, running the modules of its services or not.
    ///
    /// # Errors
    /// [`CallError`]; `Refused` with the module's own words when it failed.
    async fn accept_order(&self, order: WhmcsOrderId, run_modules: bool) -> Result<(), CallError>;

    /// Effect: runs the module of one service. A service without a module is success.
    ///
    /// # Errors
    /// As [`accept_order`](Self::accept_order).
    async fn create_service(&self, service: ServiceId) -> Result<(), CallError>;

    /// A harmless read, to see whether we are let in.
    ///
    /// # Errors
    /// [`CallError`].
    async fn probe(&self) -> Result<(), CallError>;
}
