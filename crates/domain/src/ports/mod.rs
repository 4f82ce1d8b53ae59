//! Ports: async traits for the job store, the CRM, the event bus, the provisioner, time and
//! randomness.
//!
//! Each port holds what one kind of caller needs. The methods document the contract: what holds
//! afterwards, on a repeat, and after a crash.

mod call_record;
mod clock;
mod crm_orders;
mod error;
mod event_intake;
mod event_source;
mod job_queue;
mod leader_election;
mod provisioner;

pub use call_record::{CallAction, CallOutcome, CallRecord, System};
pub use clock::{Clock, Entropy, SecretSource};
pub use crm_orders::{
    ApiAllowance, CrmOrders, CustomerOrders, Pending, PendingActivations, ReportAnswer,
    ReportedAllowance, RetryRequests,
};
pub use error::{BoxError, CallError, StoreError, StreamError};
pub use event_intake::{Cursor, DeadLetter, DeadLetterView, Delivery, Entry, EventIntake, Gap};
pub use event_source::{
    BUS_RETENTION, Batch, EventSource, EventStream, Received, Start, Undecodable, UndecodableReason,
};
pub use job_queue::{Claimed, JobChange, JobQueue, JobUpdate, Release};
pub use leader_election::{Epoch, LeaderElection, Leadership};
pub use provisioner::{
    CatalogueEntry, Freshness, Module, ModuleKind, NewClient, NewOrder, OrderDetail, PlaceAnswer,
    Provisioner, ProvisionerReads, observe,
};

/// Mocks of the ports: a call that a test does not expect fails it.
#[cfg(feature = "mocks")]
pub mod mocks {
    pub use super::clock::{MockClock, MockEntropy, MockSecretSource};
    pub use super::crm_orders::{
        MockApiAllowance, MockCrmOrders, MockCustomerOrders, MockPendingActivations,
        MockRetryRequests,
    };
    pub use super::event_intake::MockEventIntake;
    pub use super::event_source::{MockEventSource, MockEventStream};
    pub use super::job_queue::MockJobQueue;
    pub use super::leader_election::MockLeaderElection;
    pub use super::provisioner::{MockProvisioner, MockProvisionerReads};
}
