//! What may be asked of the outside, and what can go wrong there.
//!
//! Eight ports are the whole budget: one for each outside thing and role, and one each for
//! time and chance. The contract stands on the methods: what holds afterwards, when it is
//! repeated, and after a crash.

mod admin_command;
mod call_record;
mod clock;
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

pub use admin_command::{AdminCommand, AuditEntry, CommandResult, Pausable, Pause};
pub use call_record::{CallAction, CallOutcome, CallRecord, RecordedCall, System, align_calls};
pub use clock::{Clock, Entropy};
pub use crm_orders::{CrmOrders, Pending, ReportAnswer};
pub use cursor_mark::{CursorHistoryEntry, CursorChange};
pub use error::{BoxError, CallError, StoreError, StreamError};
pub use event_source::{
    BUS_RETENTION, Batch, EventSource, EventStream, Received, Start, Undecodable, UndecodableReason,
};
pub use job_intake::{
    AUDIT_RETENTION, Cursor, DeadLetter, Delivery, Entry, Epoch, Gap, JobIntake, Leadership,
    Pruned, MIN_RETENTION,
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
