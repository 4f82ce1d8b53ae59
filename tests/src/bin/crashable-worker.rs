//! The worker with crash points.

use std::process::ExitCode;
use std::sync::Arc;

use e2e::crash_points::{self, CrashPoints};
use e2e::crashing_worker_ports;
use runtime::{Failure, Metrics};

fn main() -> ExitCode {
    let args = match runtime::parse_or_exit::<worker::Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    runtime::exit_code(start(&args))
}

fn start(args: &worker::Args) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let mut config = args.check()?;
    if let Some(every) = crash_points::short_probe_interval() {
        config.provisioning.probe_every = every;
    }
    let crash_points = Arc::new(CrashPoints::from_env().map_err(Failure::run)?);
    runtime::run_until_signalled(|shutdown| {
        let ports = |ports| crashing_worker_ports(ports, crash_points);
        worker::run_with(config, Metrics::install(), shutdown, ports)
    })
}
