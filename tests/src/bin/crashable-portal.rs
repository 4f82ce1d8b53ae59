//! The portal with crash points.

use std::process::ExitCode;
use std::sync::Arc;

use e2e::crash_points::CrashPoints;
use e2e::crashing_portal_ports;
use runtime::{Failure, Metrics};

fn main() -> ExitCode {
    let args = match runtime::parse_or_exit::<portal::Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    runtime::exit_code(start(&args))
}

fn start(args: &portal::Args) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let config = args.check()?;
    let crash_points = Arc::new(CrashPoints::from_env().map_err(Failure::run)?);
    runtime::run_until_signalled(|shutdown| {
        let ports = |ports| crashing_portal_ports(ports, crash_points);
        portal::run_with(config, Metrics::install(), shutdown, ports)
    })
}
