//! The worker with crash points.

use std::process::ExitCode;
use std::sync::Arc;

use e2e::crash_points::{self, CrashPoints};
use e2e::crashing_worker_ports;
use runtime::{Failure, Metrics};
use settings::Given;

fn main() -> ExitCode {
    runtime::run_program(start)
}

fn start(given: &Given<worker::Args>) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let mut config = worker::Config::of(given)?;
    if let Some(every) = crash_points::short_probe_interval() {
        config.provisioning.probe_every = every;
    }
    let crash_points = Arc::new(CrashPoints::from_env().map_err(Failure::run)?);
    runtime::run_until_signalled(|shutdown| {
        let ports = |ports| crashing_worker_ports(ports, crash_points);
        worker::run_with(config, Metrics::install(), shutdown, ports)
    })
}
