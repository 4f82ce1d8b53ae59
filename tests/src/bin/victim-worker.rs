//! The worker, except that it dies where its fate says.

use std::process::ExitCode;
use std::sync::Arc;

use e2e::deadly_worker;
use e2e::points::{self, Fate};
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
    if let Some(every) = points::brisk_probe() {
        config.provisioning.probe_every = every;
    }
    let fate = Arc::new(Fate::from_env().map_err(Failure::run)?);
    runtime::run_until_signalled(|shutdown| {
        let ports = |ports| deadly_worker(ports, fate);
        worker::run_with(config, Metrics::install(), shutdown, ports)
    })
}
