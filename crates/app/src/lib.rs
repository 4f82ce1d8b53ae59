//! Composition root: what subscriber, worker and portal build alike from their settings.
//!
//! [`Program`] opens the store and serves probes, metrics and alerts; [`Salesforce`] is the login
//! and the REST client. The programs add the use case that is theirs.

mod program;
mod salesforce;

pub use program::{Program, Running, Settings};
pub use salesforce::Salesforce;
