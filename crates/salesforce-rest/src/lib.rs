//! The Salesforce orders: read, guard, report (REST).
//!
//! [`RestOrders`] reads an order in one query, writes its outcome in one guarded call, and
//! leaves out every field that the org does not have. Which call can be repeated is told by
//! the error's class; a locked row and an expired session are dealt with in here.

mod allowance;
mod books;
mod client;
mod config;
mod customer;
mod error;
mod fields;
#[cfg(test)]
mod fuzz;
mod mapping;
mod orders;
mod pending;
mod report;
mod shape;
mod time;
mod wire;

pub use books::ReconcileOrder;
pub use config::RestConfig;
pub use error::{ConfigurationError, DescribeError, MissingField};
pub use fields::{
    AccountFields, FieldNames, OrderFields, OrderItemFields, ProductFields, StatusNames,
};
pub use mapping::mapping_overrides;
pub use orders::RestOrders;
