//! The subscriber, except that it dies where its fate says.

use std::process::ExitCode;
use std::sync::Arc;

use e2e::deadly_intake;
use e2e::points::{self, Fate};
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
    if let Some((every, lease)) = points::brisk_watch() {
        config.alerts.settings.pace = monitoring::Pace { every, lease };
    }
    let fate = Arc::new(Fate::from_env().map_err(Failure::run)?);
    runtime::run_until_signalled(|shutdown| {
        let ports = |ports| deadly_intake(ports, fate);
        subscriber::run_with(config, Metrics::install(), shutdown, ports)
    })
}
