//! The simulated WHMCS installation: one endpoint, its tables, its modules, and a test oracle.
//!
//! Written from public documentation and observation only.
mod actions;
mod apply;
mod faults;
mod form;
mod http;
mod install;
mod modules;
mod options;
mod oracle;
mod php;
mod sim;
mod tables;
mod wire;
mod xml;

pub use faults::{Fault, FaultId};
pub use install::ActionCall;
pub use options::{Credentials, EmptyList, RuntimeOptions, Version, WhmcsOptions};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use php::{Php, parse_form, unserialize_base64};
pub(crate) use sim::SavedInstall;
pub use sim::WhmcsSim;
pub use tables::{
    CURRENCIES, Client, Invoice, Mail, Module, ModuleScript, Order, Product, QueueEntry, Service,
};
