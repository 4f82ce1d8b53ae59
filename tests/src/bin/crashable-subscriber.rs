//! The subscriber with crash points.

use std::process::ExitCode;
use std::sync::Arc;

use e2e::crash_points::{self, CrashPoints};
use e2e::{crashing_intake_ports, crashing_monitoring_ports};
use runtime::{Failure, Metrics};
use settings::Given;

fn main() -> ExitCode {
    runtime::run_program(start)
}

fn start(given: &Given<subscriber::Args>) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let mut config = subscriber::Config::of(given)?;
    if let Some((every, lease)) = crash_points::short_watch_intervals() {
        config.program.alerts.settings.schedule = monitoring::Schedule { every, lease };
    }
    let crash_points = Arc::new(CrashPoints::from_env().map_err(Failure::run)?);
    runtime::run_until_signalled(|shutdown| {
        let alerting = Arc::clone(&crash_points);
        let wrap = subscriber::WrapPorts {
            intake: Box::new(|ports| crashing_intake_ports(ports, crash_points)),
            monitoring: Box::new(|ports| crashing_monitoring_ports(ports, alerting)),
        };
        subscriber::run_with(config, Metrics::install(), shutdown, wrap)
    })
}
