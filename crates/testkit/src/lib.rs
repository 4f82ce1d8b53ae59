//! In-memory fakes of the ports, builders, and the contract suites that fakes and real adapters
//! share.

mod admin_commands;
mod build;
mod bus;
mod capture;
mod clock;
pub mod contract;
pub mod corpus;
mod crm;
pub mod intercept;
mod job_queue_ext;
mod operator_sessions;
mod provisioner;
mod reader;
pub mod source;
mod store;
mod store_state;

pub use build::{
    channel, dead_letter, delivery, details, gap, lead, new_job, order_id, owner, process_report,
};
pub use bus::FakeBus;
pub use capture::{Logs, SharedBuffer};
pub use clock::{FakeClock, FakeEntropy, PausedClock};
pub use crm::{FakeCrm, Written};
pub use job_queue_ext::JobQueueExt;
pub use provisioner::{Action, FakeProvisioner, Fault};
pub use source::FakeSource;
pub use store::MemoryStore;

/// What a call of the job store comes to.
pub type StoreResult<T> = Result<T, domain::ports::StoreError>;
/// What a call of Salesforce or WHMCS comes to.
pub type CallResult<T> = Result<T, domain::ports::CallError>;
/// What a call of the event bus comes to.
pub type StreamResult<T> = Result<T, domain::ports::StreamError>;
