//! What was seen in WHMCS, in our words.

use crate::failure::{Code, Refusal};
use crate::key::{ClientId, LineMarker, ProductId, ServiceId, WhmcsOrderId};
use crate::order::Cycle;

/// A client as WHMCS shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhmcsClient {
    /// The client.
    pub id: ClientId,
    /// Whether it may buy.
    pub status: ClientStatus,
    /// The ISO 4217 code it is billed in, where WHMCS tells.
    pub currency: Option<String>,
}

impl WhmcsClient {
    /// Whether prices in `currency` mean the same on this client's invoices; nothing is
    /// refused where either side does not tell.
    ///
    /// # Errors
    /// The client is billed in another currency.
    pub fn takes_prices_in(&self, currency: Option<&str>) -> Result<(), Refusal> {
        let (Some(ours), Some(theirs)) = (currency, self.currency.as_deref()) else {
            return Ok(());
        };
        if ours.eq_ignore_ascii_case(theirs) {
            return Ok(());
        }
        Err(Refusal::new(
            Code::MappingInvalid,
            format!(
                "the order's prices are in {ours} and WHMCS client {} is billed in {theirs}",
                self.id
            ),
        ))
    }
}

/// Whether a client may buy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientStatus {
    /// Active or inactive: orders are taken.
    Open,
    /// Closed: WHMCS takes no orders for it.
    Closed,
}

/// The status of a WHMCS order. Installs may add their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Not accepted yet.
    Pending,
    /// Accepted.
    Active,
    /// Cancelled by somebody.
    Cancelled,
    /// Marked as fraud.
    Fraud,
    /// A status of the install's own: only a person can tell what it means.
    Other(String),
}

/// The status of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceStatus {
    /// Ordered and not created yet.
    Pending,
    /// Created.
    Active,
    /// Anything else: suspended, terminated, cancelled, fraud, completed.
    Other(String),
}

/// An order as WHMCS shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhmcsOrder {
    /// The order.
    pub id: WhmcsOrderId,
    /// The client it belongs to.
    pub client: ClientId,
    /// Its status.
    pub status: OrderStatus,
    /// Its notes; empty where the install dropped them.
    pub notes: String,
    /// Its services, ascending by id.
    pub lines: Vec<WhmcsService>,
}

/// A service of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhmcsService {
    /// The service.
    pub service: ServiceId,
    /// Its product; `None` when WHMCS could not say (a damaged row hides the service list).
    pub product: Option<ProductId>,
    /// Its billing cycle; `None` when WHMCS shows none that we know.
    pub cycle: Option<Cycle>,
    /// Its status.
    pub status: ServiceStatus,
    /// Our line marker, where the product keeps one.
    pub marker: Option<LineMarker>,
}
