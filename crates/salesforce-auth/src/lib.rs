//! One cached access token for both Salesforce doors (OAuth 2.0 JWT bearer).
//!
//! The flow answers neither a refresh token nor an expiry, so a token is good until somebody
//! says otherwise: REST and Pub/Sub share one [`TokenManager`] and come back to it with the
//! generation that was refused. A refused login is not repeated at once, because a rejected
//! grant that is hammered locks the user out.

mod config;
mod error;
mod login;
mod manager;

pub use config::{Config, KeySource, SalesforceArgs};
pub use error::AuthError;
pub use manager::{LoginStatus, Session, TokenManager};
