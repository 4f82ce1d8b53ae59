//! Ports: async traits for the job store, the CRM, the event bus, the provisioner, time and
//! randomness.
//!
//! There is one port per external system and caller. The methods document the contract: what holds
//! afterwards, on a repeat, and after a crash.

mod call_record;
mod clock;
mod command;
mod crm_orders;
mod cursor_mark;
mod error;
mod event_source;
mod job_intake;
mod job_queue;
mod job_reader;
mod listing;
mod monitoring;
mod provisioner;

pub use call_record::{CallAction, CallOutcome, CallRecord, RecordedCall, System, align_calls};
pub use clock::{Clock, Entropy};
pub use command::{AdminCommand, AuditEntry, CommandResult, Pausable, Pause};
pub use crm_orders::{CrmOrders, Pending, ReportAnswer};
pub use cursor_mark::{CursorChange, CursorHistoryEntry};
pub use error::{BoxError, CallError, StoreError, StreamError};
pub use event_source::{
    BUS_RETENTION, Batch, EventSource, EventStream, Received, Start, Undecodable, UndecodableReason,
};
pub use job_intake::{
    AUDIT_RETENTION, Cursor, DeadLetter, Delivery, Entry, Epoch, Gap, JobIntake, Leadership,
    MIN_RETENTION, Pruned,
};
pub use job_queue::{Claimed, JobQueue, Release};
pub use job_reader::{JobReader, JobView, QueueStats, RecordedFact, StreamView, Wait};
pub use listing::{
    Acknowledgement, DeadLetterView, FinishedJob, GapView, JobStage, OrderNames, OrderQuery,
    OrderRow,
};
pub use monitoring::{
    Alert, AttemptStats, CallStats, Condition, ConditionKind, Notified, PROCESS_ALIVE,
    PROCESS_REMOVED_AFTER, ProcessReport, ProcessView, Setting, StuckOrders, UnreadableJobs,
};
pub use provisioner::{
    CatalogueEntry, Module, ModuleKind, NewClient, NewOrder, PlaceAnswer, Provisioner,
};
