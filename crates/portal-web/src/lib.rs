//! Customer API, customer page and operator console over HTTP.
//!
//! Two independent halves: `customer` serves customers their own orders, `console` serves
//! operators everything. Both see the store and Salesforce through ports only, and each has a
//! state of its own.

mod account_permits;
mod actor;
mod config;
mod console;
mod cors;
mod customer;
mod event_stream;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod headers;
mod html;
mod metrics;
mod openapi;
mod ports;
mod problem;
mod request;
mod router;
mod time;

pub use actor::actor;
pub use config::{Config, Limits, Links, OpsAccess, PortalArgs, ProxyNames, Rate, TokenKeys};
pub use openapi::openapi;
pub use ports::Ports;
pub use router::router;
