//! The simulated WHMCS install: one endpoint, its tables, its modules, and an oracle.
//!
//! Written from public documentation and observation only.
mod actions;
mod apply;
mod books;
mod faults;
mod http;
mod install;
mod modules;
mod options;
mod oracle;
mod php;
mod sim;
mod wire;

pub use books::{
    CURRENCIES, Client, Invoice, Mail, Module, ModuleScript, Order, Product, QueueEntry, Service,
};
pub use faults::{Fault, FaultId};
pub use install::ActionCall;
pub use options::{Credentials, EmptyList, Knobs, Version, WhmcsOptions};
pub use sim::WhmcsSim;
