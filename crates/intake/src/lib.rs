//! The first use case: events become jobs.
//!
//! [`Intake`] leads a channel by a lease, follows it from the stored position, and commits
//! the jobs of each message together with its position. It never waits for anything but the
//! stream and the store.

mod decide;
mod health;
mod letters;
mod measure;
mod retention;
mod run;
mod store;
mod sweep;

pub use decide::{OnLoss, Pause, decide, pause_after};
pub use health::{Health, Status, View};
pub use retention::{RETENTION, Retention};
pub use run::{Intake, Ports, Settings};
pub use store::accept;
pub use sweep::{Sweep, SweepPorts, SweepSettings};
