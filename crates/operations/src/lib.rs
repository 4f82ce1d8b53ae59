//! Running an installation: what operators, alerts and other programs see of it, what operators
//! can command, and the ports for both. The rules about orders themselves are in [`domain`].

mod alert;
mod command;
mod event_views;
mod job_store;
mod operator_sessions;
mod order_views;
mod process_registry;
mod recorded_call;
mod retention;
mod statistics;

pub use alert::{Alert, AlertStore, Notified};
pub use command::{AdminCommand, AdminCommands, AuditEntry, CommandResult, Pausable, Pause};
pub use event_views::{CursorChange, CursorHistoryEntry, EventViews, GapView, StreamView};
pub use job_store::JobStore;
pub use operator_sessions::{NewSession, OperatorSession, OperatorSessions};
pub use order_views::{
    Acknowledgement, JobStage, JobView, OrderNames, OrderQuery, OrderRow, OrderViews, RecordedFact,
    Wait,
};
pub use process_registry::{
    Condition, ConditionKind, PROCESS_ALIVE, PROCESS_REMOVED_AFTER, ProcessRegistry, ProcessReport,
    ProcessView, Setting,
};
pub use recorded_call::{RecordedCall, align_calls};
pub use retention::{AUDIT_RETENTION, MIN_RETENTION, Pruned, Pruner};
pub use statistics::{
    AttemptStats, CallStats, FinishedJob, QueueStats, Statistics, StoreHealth, StuckOrders,
    UnreadableJobs,
};

/// Mocks of the ports, but of the order views: a call that a test does not expect fails it.
#[cfg(feature = "mocks")]
pub mod mocks {
    pub use super::alert::MockAlertStore;
    pub use super::command::MockAdminCommands;
    pub use super::event_views::MockEventViews;
    pub use super::operator_sessions::MockOperatorSessions;
    pub use super::process_registry::MockProcessRegistry;
    pub use super::retention::MockPruner;
    pub use super::statistics::{MockStatistics, MockStoreHealth};
}
