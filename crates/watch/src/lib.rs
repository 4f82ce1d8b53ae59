//! What the processes of an install say of themselves, and the alerts they raise together.
//!
//! Every subscriber, worker and portal runs [`keep`]: it tells the store what it alone knows
//! ([`Reporter`]) and takes part in the [`Watch`]. A lease decides which ONE of them judges the
//! rules and posts; the state of every alert is in the store and is written only with the term
//! of that lease, so a takeover neither raises an alert twice nor forgets that one is over.
//! Posting is at-least-once: a process that dies between the post and its mark leaves the mark
//! to be made, and its successor posts the same message again.

mod args;
mod judge;
mod measure;
mod message;
mod report;
mod rule;
mod run;
mod seen;

pub use args::{AlertArgs, Config};
pub use judge::judge;
pub use message::body;
pub use report::{ObservedCondition, Reporter};
pub use rule::{Pace, Rule, Settings};
pub use run::{Ports, Post, Watch};
pub use seen::Seen;

use domain::ports::ProcessReport;
use tokio_util::sync::CancellationToken;

/// Reports and watches until `shutdown`, then says goodbye. `notice` says what this process
/// alone knows at the moment.
pub async fn keep(
    ports: Ports,
    settings: Settings,
    report: ProcessReport,
    notice: impl Fn() -> Vec<ObservedCondition> + Send + Sync,
    shutdown: CancellationToken,
) {
    let reporter = Reporter::new(
        std::sync::Arc::clone(&ports.store),
        std::sync::Arc::clone(&ports.clock),
        report,
    );
    let every = settings.pace.every;
    let watch = Watch::new(ports, settings);
    tokio::join!(
        reporter.run(every, notice, shutdown.clone()),
        watch.run(shutdown.clone())
    );
}
