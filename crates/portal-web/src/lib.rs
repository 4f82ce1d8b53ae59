//! What customers and operators see, over HTTP: the customer API and page, and the operator
//! console.
//!
//! It sees the store and Salesforce through their ports only. A customer gets a view type of
//! its own (`status`); what operators may see is under `ops`.

mod api;
mod auth;
mod config;
mod events;
mod head;
mod jwks;
mod measure;
mod openapi;
mod ops;
mod pace;
mod page;
mod place;
mod portal;
mod problem;
mod status;
mod statuses;
mod time;

pub use config::{Config, Links, OpsAccess, PortalArgs, TokenKeys};
pub use openapi::openapi;
pub use portal::{Ports, router};
