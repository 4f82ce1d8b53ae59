//! A probe of WHMCS as soon as an operator resumes the workers.

use std::sync::Arc;
use std::time::Duration;

use domain::time::Timestamp;
use operations::{AdminCommand, AdminCommands, Pausable};
use provisioning::ProcessState;
use tokio_util::sync::CancellationToken;

/// How often the store is asked, while calls to WHMCS are suspended.
const EVERY: Duration = Duration::from_secs(1);
/// Audit log entries that are looked through, the newest first.
const ENTRIES: usize = 50;

/// Asks WHMCS at once, and not at the next probe, when an operator resumes the workers while
/// calls to it are suspended: who resumes has fixed something. Runs until `shutdown`.
pub(crate) async fn probe_on_resume(
    reader: Arc<dyn AdminCommands>,
    process: Arc<ProcessState>,
    shutdown: CancellationToken,
) {
    let mut tick = tokio::time::interval(EVERY);
    let mut probed_for = None;
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        let Some(open) = process.whmcs.opened() else {
            continue;
        };
        let resumed = last_resume(&*reader).await.filter(|at| *at >= open.since);
        if resumed.is_some() && resumed != probed_for {
            process.whmcs.request_probe();
            probed_for = resumed;
        }
    }
}

/// When an operator resumed the workers last; `None` also while the store cannot be read, which
/// shows in readiness.
async fn last_resume(reader: &dyn AdminCommands) -> Option<Timestamp> {
    let what = Pausable::Worker;
    let (subject, resume) = (what.to_string(), AdminCommand::Resume { what });
    let entries = reader.audit(ENTRIES).await.ok()?;
    let mut resumes = entries
        .into_iter()
        .filter(|entry| entry.act == resume.name() && entry.subject == subject);
    resumes.next().map(|entry| entry.at)
}
