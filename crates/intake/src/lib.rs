//! Use case: turns events into jobs.
//!
//! [`Intake`] leads a channel under a lease, follows it from the stored cursor, and commits the
//! jobs of each message together with the new cursor. It waits only for the stream and the store.

mod decide;
mod health;
mod measure;
mod redrive;
mod retention;
mod run;
mod store;
mod stream_end;
mod sweep;

pub use decide::{OnLoss, Pause, decide, decide_all, pause_after};
pub use health::{Health, Status, View};
pub use retention::{RETENTION, Retention};
pub use run::{Intake, Ports, Settings};
pub use store::accept;
pub use sweep::{Sweep, SweepPorts, SweepSettings};
