//! The portal, except that it dies where its fate says.

use std::process::ExitCode;
use std::sync::Arc;

use e2e::deadly_portal;
use e2e::points::Fate;
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
    let fate = Arc::new(Fate::from_env().map_err(Failure::run)?);
    runtime::run_until_signalled(|shutdown| {
        let ports = |ports| deadly_portal(ports, fate);
        portal::run_with(config, Metrics::install(), shutdown, ports)
    })
}
