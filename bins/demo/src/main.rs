//! The demo's entry point.

mod bridge;
mod orders;
mod summary;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use simulators::{World, WorldOptions};

use bridge::Bridge;
use table::Table;

/// The whole bridge in one process: both outside systems simulated on this machine's own
/// network, subscriber, worker and portal between them, on one SQLite file.
///
/// Places and approves orders, some of which meet trouble; the operator mends it and asks
/// again; then the books of the simulated WHMCS are checked.
#[derive(Parser, Debug)]
#[command(name = "demo", version)]
struct Args {
    /// How many orders
    #[arg(long, env = "DEMO_ORDERS", default_value_t = 25)]
    orders: usize,
    /// Seed of the simulated world
    #[arg(long, env = "DEMO_SEED", default_value_t = 1)]
    seed: u64,
    /// Wait less after a lost reply
    #[arg(long)]
    fast: bool,
    /// Go on serving the pages until it is told to stop
    #[arg(long)]
    keep: bool,
    /// Mend what was wrong, but leave it to you to ask again, in the console
    #[arg(long, requires = "keep")]
    by_hand: bool,
    /// Where the pages are served [default: 127.0.0.1:8080, or a free port while that is taken]
    #[arg(long, env = "HTTP_ADDR")]
    http_addr: Option<SocketAddr>,
    /// Keep the job store in this folder instead of a temporary one
    #[arg(long, env = "DEMO_DATA")]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = match runtime::parse_or_exit::<Args>() {
        Ok(args) => args,
        Err(code) => return code,
    };
    let (sender, receiver) = std::sync::mpsc::channel();
    let ended = runtime::run_until_signalled(|shutdown| async move {
        // The receiver lives until main ends.
        let tell = |good| {
            let _ = sender.send(good);
        };
        tokio::select! {
            ran = run(&args, tell) => {
                ran.map_err(|error| runtime::Failure::run(format!("{error:#}")))
            }
            () = shutdown.cancelled() => Ok(()),
        }
    });
    match receiver.try_recv() {
        Ok(false) => ExitCode::FAILURE,
        _ => runtime::exit_code(ended),
    }
}

/// Runs the demo and tells whether everything is as it must be.
async fn run(args: &Args, tell: impl Fn(bool)) -> anyhow::Result<()> {
    outbound::install_crypto_provider();
    let folder = tempfile::tempdir()?;
    let data = args
        .data
        .clone()
        .unwrap_or_else(|| folder.path().to_owned());
    let mut options = WorldOptions::default();
    options.salesforce.seed = args.seed;
    options.whmcs.seed = args.seed;
    let world = World::start(options).await?;
    let quiet = if args.fast {
        Duration::from_millis(200)
    } else {
        Duration::from_secs(2)
    };
    let bridge = Bridge::start(&world, &data, quiet, args.http_addr).await?;
    let orders = orders::place(&world, args.orders, args.seed)?;
    summary::announce(&world, &data, &orders, &bridge.portal);
    let mut table = Table::new();
    orders::follow(&world, &orders, &bridge, &mut table).await?;
    orders::mend(&world, &orders)?;
    if args.by_hand {
        summary::say("\nThe causes are mended. Ask for another attempt at these orders yourself.");
    } else {
        let retried = orders::retry(&world, &orders)?;
        orders::follow(&world, &retried, &bridge, &mut table).await?;
    }
    if args.keep {
        if !args.by_hand {
            tell(summary::check(&world, &orders));
        }
        summary::say(&format!(
            "\nStill serving {}/ops until you stop it (Ctrl-C).",
            bridge.portal
        ));
        while !bridge.is_broken() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    bridge.stop().await?;
    if !args.keep {
        tell(summary::check(&world, &orders));
    }
    Ok(())
}
