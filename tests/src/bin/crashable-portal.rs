//! The portal with crash points.

use std::process::ExitCode;
use std::sync::Arc;

use e2e::crash_points::CrashPoints;
use e2e::crashing_portal_ports;
use runtime::{Failure, Metrics};
use settings::Given;

fn main() -> ExitCode {
    runtime::run_program(start)
}

fn start(given: &Given<portal::Args>) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let config = portal::Config::of(given)?;
    let crash_points = Arc::new(CrashPoints::from_env().map_err(Failure::run)?);
    runtime::run_until_signalled(|shutdown| {
        let ports = |ports| crashing_portal_ports(ports, crash_points);
        portal::run_with(config, Metrics::install(), shutdown, ports)
    })
}
