//! CRM adapter for the Salesforce REST API: reads orders, checks the guard, writes reports.
//!
//! [`RestOrders`] reads an order in one query, writes its outcome in one guarded call, and omits
//! every field that the org does not have. The error's class tells whether a call can be repeated;
//! locked rows and expired sessions are handled internally.

mod allowance;
mod client;
mod config;
mod customer;
mod error;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod inspect;
mod mapping;
mod orders;
mod pending;
mod reconcile;
mod report;
mod schema;
mod shape;
mod time;
mod wire;

pub use config::RestConfig;
pub use error::{ConfigurationError, DescribeError, MissingField};
pub use fields::{
    AccountFields, FieldNames, OrderFields, OrderItemFields, ProductFields, StatusNames,
};
pub use inspect::{Identity, Limit};
pub use mapping::mapping_overrides;
pub use orders::RestOrders;
pub use reconcile::ReconcileOrder;
pub use schema::{Finding, Level};
