//! Time from an order's approval to the result in Salesforce, with systems that answer slowly.
//!
//! ```text
//! cargo build --release -p subscriber -p worker -p e2e --bin subscriber --bin worker --bin latency
//! target/release/latency --bins target/release
//! ```
//!
//! The real programs run between the simulated systems, on SQLite and on PostgreSQL. Every call to
//! WHMCS and to Salesforce's REST API takes the given time; events are delivered at once. Orders
//! come one after the other. Exits with 0 only when the median of the slowest systems is within the
//! limit.

use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Parser;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::whmcs::{Fault, FaultId};
use simulators::{When, World, WorldOptions};
use test_postgres::Database;
use tokio::process::{Child, Command};

/// Orders before the first that is measured: logins, and what the worker learns of the org.
const WARM_UP: usize = 3;
/// How long an order may take before the run is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Time from approval to result, with slow systems
#[derive(Parser, Debug)]
#[command(name = "latency", version)]
struct Args {
    /// Orders per store and delay
    #[arg(long, default_value_t = 100)]
    orders: usize,
    /// How long each call takes, in milliseconds
    #[arg(long, value_delimiter = ',', default_value = "1,20,200")]
    delays_ms: Vec<u64>,
    /// Limit of the median with the longest delay, in milliseconds
    #[arg(long, default_value_t = 1800)]
    limit_ms: u64,
    /// Folder with the programs `subscriber` and `worker`
    #[arg(long, default_value = "target/release")]
    bins: PathBuf,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    outbound::install_crypto_provider();
    say("| store | each call takes | p50 | p99 |");
    say("|---|---|---|---|");
    let limit = Duration::from_millis(args.limit_ms);
    let mut within_limit = true;
    for store in ["SQLite", "PostgreSQL"] {
        for delay_ms in &args.delays_ms {
            let mut took = measure(&args, store, *delay_ms).await?;
            took.sort_unstable();
            let [p50, p99] = [50, 99].map(|percent| took[(took.len() - 1) * percent / 100]);
            say(&format!(
                "| {store} | {delay_ms} ms | {} ms | {} ms |",
                p50.as_millis(),
                p99.as_millis()
            ));
            within_limit &= p50 <= limit;
        }
    }
    Ok(match within_limit {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The times of all orders with this store and delay.
async fn measure(args: &Args, store: &str, delay_ms: u64) -> anyhow::Result<Vec<Duration>> {
    let world = World::start(WorldOptions::default()).await?;
    let folder = tempfile::tempdir()?;
    let database = match store {
        "PostgreSQL" => Some(Database::create().await),
        _ => None,
    };
    let url = match &database {
        Some(database) => database.url(),
        None => format!("sqlite:{}", folder.path().join("jobs.db").display()),
    };
    let programs = ["subscriber", "worker"]
        .map(|program| start(&args.bins.join(program), &world, &url, folder.path()));
    for program in &programs {
        if let Err(error) = program {
            bail!("{error:#}");
        }
    }
    for number in 0..WARM_UP {
        provision(&world, number).await?;
    }
    let slow = Fault::new(FaultId::F15).delay_ms(delay_ms);
    world.whmcs.fault(slow.when(When::Always));
    let slow = RestFault::new(Route::Any, RestFaultKind::Delay { ms: delay_ms });
    world.salesforce.fault(slow.when(When::Always));
    let mut took = Vec::new();
    for number in 0..args.orders {
        took.push(provision(&world, number).await?);
    }
    drop(programs);
    Ok(took)
}

fn start(program: &Path, world: &World, url: &str, folder: &Path) -> anyhow::Result<Child> {
    let key = folder.join("key.pem");
    std::fs::write(&key, world.salesforce.login().private_key_pem)?;
    Command::new(program)
        .env_clear()
        .envs(world.environment())
        .env("DATABASE_URL", url)
        .env("HTTP_ADDR", "127.0.0.1:0")
        .env("SF_PRIVATE_KEY_FILE", key)
        .env("SF_EVENTS_REPLAY", "ALL")
        .env("RUST_LOG", "warn")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} cannot be started; build it first", program.display()))
}

/// Approves an order of one line and returns the time until Salesforce shows it as activated.
async fn provision(world: &World, number: usize) -> anyhow::Result<Duration> {
    let order = world.place_order(number, &[(0, 1)]);
    let order = order.map_err(|refusal| anyhow::anyhow!("no order was placed: {refusal:?}"))?;
    let approved = world.salesforce.approve(&order);
    approved.map_err(|refusal| anyhow::anyhow!("not approved: {refusal:?}"))?;
    let started = Instant::now();
    loop {
        let record = world.salesforce.order(&order).unwrap_or_default();
        match record["Activation_Status__c"].as_str() {
            Some("Activated") => return Ok(started.elapsed()),
            Some("Failed") => bail!("order {order} failed: {record}"),
            _ if started.elapsed() > PATIENCE => bail!("order {order} is not finished"),
            _ => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

#[expect(clippy::print_stdout, reason = "command-line output")]
fn say(text: &str) {
    println!("{text}");
}
