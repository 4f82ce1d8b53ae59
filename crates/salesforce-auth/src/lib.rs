//! Shared access token for the Salesforce REST and Pub/Sub APIs (OAuth 2.0 JWT bearer).
//!
//! The flow returns neither a refresh token nor an expiry, so a token is used until an API refuses
//! it: REST and Pub/Sub share one [`TokenManager`] and report the generation that was refused. A
//! refused login is not repeated at once, because repeated rejected grants lock the user out.

mod config;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hosts;
mod login;
mod manager;

pub use config::{Config, SalesforceArgs};
pub use error::AuthError;
pub use manager::{LoginStatus, Session, TokenManager};
