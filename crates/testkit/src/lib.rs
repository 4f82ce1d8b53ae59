//! In-memory fakes of the ports, builders, and the contract suites that fakes and real adapters
//! share.

mod admin_commands;
mod build;
mod clock;
pub mod contract;
mod crm;
pub mod fuzz;
pub mod intercept;
mod operator_sessions;
mod provisioner;
mod reader;
pub mod source;
mod store;
mod store_state;

pub use build::{
    channel, dead_letter, delivery, details, gap, lead, new_job, order_id, owner, process_report,
};
pub use clock::{FakeClock, FakeEntropy, PausedClock};
pub use crm::{FakeCrm, Written};
pub use provisioner::{Action, FakeProvisioner, Fault};
pub use source::FakeSource;
pub use store::MemoryStore;
