//! Process heartbeats.

use domain::key::Owner;
use domain::ports::{Clock, Entropy};
use operations::{ProcessReport, Setting};
use settings::Origins;

/// The first heartbeat of a process, without conditions.
#[must_use]
pub fn process_report(
    role: &str,
    origins: &Origins,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) -> ProcessReport {
    let settings = origins.iter().map(|shown| Setting {
        name: shown.name.to_owned(),
        value: shown.value.clone(),
        origin: shown.origin.to_owned(),
    });
    ProcessReport {
        id: Owner::new(format!("{role}-{}", entropy.token())).expect("the name is not blank"),
        role: role.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: host(),
        pid: std::process::id(),
        started_at: clock.now(),
        conditions: Vec::new(),
        settings: settings.collect(),
    }
}

/// The host name, as reported by the kernel.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match name.trim() {
        "" => "unknown".to_owned(),
        name => name.to_owned(),
    }
}
