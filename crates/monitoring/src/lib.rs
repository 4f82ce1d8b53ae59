//! Heartbeats of an installation's processes, and alert rules evaluated by one of them.
//!
//! Every subscriber, worker and portal calls [`run`]: it writes heartbeats with the conditions
//! only that process knows ([`Heartbeat`]) and takes part in alerting ([`AlertEvaluator`]). A
//! lease decides which ONE of them evaluates the rules and notifies; alerts live in the store and
//! are written only with that lease's epoch, so a takeover neither fires an alert twice nor loses
//! its resolution. Notifications are at-least-once: after a crash between the post and its record
//! the successor posts the same message again.

mod config;
mod evaluate;
mod evaluator;
mod heartbeat;
mod measure;
mod rule;
mod snapshot;
mod webhook_message;

pub use config::{AlertArgs, Config};
pub use evaluate::{Transition, evaluate};
pub use evaluator::{AlertEvaluator, Ports, Webhook};
pub use heartbeat::{Heartbeat, ObservedCondition};
pub use rule::{AlertRule, Schedule, Settings};
pub use snapshot::Snapshot;
pub use webhook_message::body;

use operations::ProcessReport;
use tokio_util::sync::CancellationToken;

/// Sends heartbeats and evaluates alerts until `shutdown`, then leaves the process registry.
/// `conditions` returns the current conditions of this process.
pub async fn run(
    ports: Ports,
    settings: Settings,
    report: ProcessReport,
    conditions: impl Fn() -> Vec<ObservedCondition> + Send + Sync,
    shutdown: CancellationToken,
) {
    let heartbeat = Heartbeat::new(
        std::sync::Arc::clone(&ports.processes),
        std::sync::Arc::clone(&ports.clock),
        report,
    );
    let every = settings.schedule.every;
    let evaluator = AlertEvaluator::new(ports, settings);
    tokio::join!(
        heartbeat.run(every, conditions, shutdown.clone()),
        evaluator.run(shutdown.clone())
    );
}
