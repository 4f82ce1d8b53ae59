//! The subscriber with crash points.

use std::process::ExitCode;
use std::sync::Arc;

use e2e::crash_points::{self, CrashPoints};
use e2e::{crashing_intake_ports, crashing_monitoring_ports};
use runtime::{Failure, Metrics};

fn main() -> ExitCode {
    let args = match runtime::parse_or_exit::<subscriber::Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    runtime::exit_code(start(&args))
}

fn start(args: &subscriber::Args) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let mut config = args.check()?;
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
