//! The complete bridge in one process: the first command of the README.

mod bridge;
mod orders;
mod summary;
mod table;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use simulators::{World, WorldOptions};

use bridge::Bridge;
use table::Table;

/// The complete bridge in one process: subscriber, worker and portal on one SQLite file, between
/// simulated external systems.
///
/// Places and approves orders, some of which fail; an operator fixes the causes and retries; then
/// the orders of the simulated WHMCS are verified.
#[derive(Parser, Debug)]
#[command(name = "demo", version)]
pub struct Args {
    /// Number of orders
    #[arg(long, env = "DEMO_ORDERS", default_value_t = 25)]
    orders: usize,
    /// Seed of the simulated data
    #[arg(long, env = "DEMO_SEED", default_value_t = 1)]
    seed: u64,
    /// Shorten the wait after a lost reply
    #[arg(long)]
    fast: bool,
    /// Keep serving the pages until stopped
    #[arg(long)]
    keep: bool,
    /// Fix the causes but leave the retries to you, in the console
    #[arg(long, requires = "keep")]
    by_hand: bool,
    /// Address of the pages [default: 127.0.0.1:8080, or a free port if that is taken]
    #[arg(long, env = "HTTP_ADDR")]
    http_addr: Option<SocketAddr>,
    /// Keep the job store in this folder instead of a temporary one
    #[arg(long, env = "DEMO_DATA")]
    data: Option<PathBuf>,
}

/// Runs the demo and reports whether everything is as expected.
///
/// # Errors
/// The demo itself failed: a port is taken, or a program stopped.
pub async fn run(args: &Args, report: impl Fn(bool)) -> anyhow::Result<()> {
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
    orders::fix_causes(&world, &orders)?;
    if args.by_hand {
        summary::say("\nThe causes are fixed. Retry these orders in the console.");
    } else {
        let retried = orders::retry(&world, &orders)?;
        orders::follow(&world, &retried, &bridge, &mut table).await?;
    }
    if args.keep {
        if !args.by_hand {
            report(summary::check(&world, &orders));
        }
        summary::say(&format!(
            "\nServing {}/ops until stopped (Ctrl-C).",
            bridge.portal
        ));
        while !bridge.is_broken() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
    bridge.stop().await?;
    if !args.keep {
        report(summary::check(&world, &orders));
    }
    Ok(())
}
