//! Ports: async traits for the job store, the CRM, the event bus, the provisioner, time and
//! randomness.
//!
//! Each port holds what one kind of caller needs. The methods document the contract: what holds
//! afterwards, on a repeat, and after a crash.

mod alert;
mod call_record;
mod clock;
mod command;
mod crm_orders;
mod error;
mod event_intake;
mod event_source;
mod event_views;
mod job_queue;
mod leader_election;
mod order_views;
mod process_registry;
mod provisioner;
mod retention;
mod statistics;

pub use alert::{Alert, AlertStore, Notified};
pub use call_record::{CallAction, CallOutcome, CallRecord, RecordedCall, System, align_calls};
pub use clock::{Clock, Entropy};
pub use command::{AdminCommand, AdminCommands, AuditEntry, CommandResult, Pausable, Pause};
pub use crm_orders::{
    CrmOrders, CustomerOrders, Pending, PendingActivations, ReportAnswer, RetryRequests,
};
pub use error::{BoxError, CallError, StoreError, StreamError};
pub use event_intake::{Cursor, DeadLetter, DeadLetterView, Delivery, Entry, EventIntake, Gap};
pub use event_source::{
    BUS_RETENTION, Batch, EventSource, EventStream, Received, Start, Undecodable, UndecodableReason,
};
pub use event_views::{CursorChange, CursorHistoryEntry, EventViews, GapView, StreamView};
pub use job_queue::{Claimed, JobChange, JobQueue, JobQueueExt, JobUpdate, Release};
pub use leader_election::{Epoch, LeaderElection, Leadership};
pub use order_views::{
    Acknowledgement, JobStage, JobView, OrderNames, OrderQuery, OrderRow, OrderViews, RecordedFact,
    Wait,
};
pub use process_registry::{
    Condition, ConditionKind, PROCESS_ALIVE, PROCESS_REMOVED_AFTER, ProcessRegistry, ProcessReport,
    ProcessView, Setting,
};
pub use provisioner::{
    CatalogueEntry, Module, ModuleKind, NewClient, NewOrder, PlaceAnswer, Provisioner,
    ProvisionerReads,
};
pub use retention::{AUDIT_RETENTION, MIN_RETENTION, Pruned, Pruner};
pub use statistics::{
    AttemptStats, CallStats, FinishedJob, QueueStats, Statistics, StoreHealth, StuckOrders,
    UnreadableJobs,
};
