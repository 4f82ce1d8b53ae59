//! Clients, orders and services as read from WHMCS.

use crate::failure::{Code, Refusal};
use crate::key::{ClientId, LineMarker, ProductId, ServiceId, WhmcsOrderId};
use crate::order::Cycle;

/// A client as read from WHMCS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhmcsClient {
    /// The client.
    pub id: ClientId,
    /// Whether it can place orders.
    pub status: ClientStatus,
    /// The ISO 4217 code it is billed in, where WHMCS reports it.
    pub currency: Option<String>,
}

impl WhmcsClient {
    /// Checks that the client is billed in `currency`. Passes when either currency is unknown.
    ///
    /// # Errors
    /// `MAPPING_INVALID` when the client is billed in another currency.
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

/// Whether a client can place orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientStatus {
    /// Active or inactive: orders are accepted.
    Open,
    /// Closed: WHMCS accepts no orders for it.
    Closed,
}

/// The status of a WHMCS order. Installs may add their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderStatus {
    /// Not accepted yet.
    Pending,
    /// Accepted.
    Active,
    /// Cancelled.
    Cancelled,
    /// Marked as fraud.
    Fraud,
    /// A custom status of the install; only its staff know what it means.
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

/// An order as read from WHMCS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhmcsOrder {
    /// The order.
    pub id: WhmcsOrderId,
    /// The client it belongs to.
    pub client: ClientId,
    /// Its status.
    pub status: OrderStatus,
    /// Its notes; empty if the install dropped them.
    pub notes: String,
    /// Its services, ascending by id.
    pub lines: Vec<WhmcsService>,
}

impl WhmcsOrder {
    /// The distinct products of its services, ascending.
    #[must_use]
    pub fn products(&self) -> Vec<ProductId> {
        let mut products: Vec<_> = self.lines.iter().filter_map(|line| line.product).collect();
        products.sort_unstable();
        products.dedup();
        products
    }
}

/// A service of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhmcsService {
    /// The service.
    pub service: ServiceId,
    /// Its product; `None` when WHMCS did not report it (a damaged row hides the service list).
    pub product: Option<ProductId>,
    /// Its billing cycle; `None` when WHMCS reports none or an unknown one.
    pub cycle: Option<Cycle>,
    /// Its status.
    pub status: ServiceStatus,
    /// Our line marker, where the product has a field for it.
    pub marker: Option<LineMarker>,
}
