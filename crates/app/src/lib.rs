//! Composition root: what subscriber, worker and portal have in common.
//!
//! [`Program`] opens the store and serves probes, metrics and alerts; [`Salesforce`] is the login
//! and the REST client. Each program adds its own use case.

mod program;
mod salesforce;
mod settings;
mod systems;

pub use program::{Program, Running};
pub use salesforce::Salesforce;
pub use settings::{ProgramArgs, Settings};
pub use systems::{CrmArgs, CrmConfig, RECONCILE_AFTER, SystemArgs, SystemConfig};
