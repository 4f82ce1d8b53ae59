//! Soak test: runs the real programs between simulated systems with faults, while the programs
//! are killed, frozen and stopped at random; then waits for the orders and compares both systems.
//!
//! ```text
//! cargo build --release -p subscriber -p worker
//! cargo run --release -p e2e --bin soak -- --minutes 60 --bins target/release
//! ```
//!
//! Half of the modules are not idempotent. Exits with 0 only when no order was lost, none was
//! placed or built twice, and both systems agree; a run with a mutation must therefore exit with
//! 1.

mod faults;
mod operator;
mod programs;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use simulators::whmcs::{Module, ModuleScript};
use simulators::{World, WorldOptions};
use test_postgres::Database;

use programs::Programs;

/// Soak test of the real programs between faulty simulated systems.
#[derive(Parser, Debug)]
#[command(name = "soak", version)]
pub(crate) struct Args {
    /// How long orders are placed and faults injected
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// Seed of all random choices
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of subscribers
    #[arg(long, default_value_t = 2)]
    subscribers: usize,
    /// Number of workers
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// Job store: sqlite or postgres
    #[arg(long, default_value = "postgres", value_parser = ["sqlite", "postgres"])]
    store: String,
    /// Disable a safeguard to show that the run detects it
    #[arg(long, value_enum)]
    mutation: Option<Mutation>,
    /// Folder with the programs `subscriber` and `worker`
    #[arg(long, default_value = "target/debug")]
    bins: PathBuf,
}

/// A safeguard that can be disabled.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Lists every module as idempotent, so services are created again after an AcceptOrder of
    /// unknown outcome.
    RepeatAccept,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let consistent = runtime
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(run(&args)));
    match consistent {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The idempotent module.
pub(crate) const IDEMPOTENT: &str = "findsitsaccounts";

async fn run(args: &Args) -> anyhow::Result<bool> {
    outbound::install_crypto_provider();
    let mut options = WorldOptions::default();
    options.salesforce.seed = args.seed;
    options.whmcs.seed = args.seed;
    options.accounts = 20;
    options.products = 5;
    let world = World::start(options).await?;
    for product in world.whmcs.products() {
        // Every second product; the other modules build another account on each call.
        if product.module.script == ModuleScript::Ok && product.pid % 2 == 0 {
            let module = Module::new(ModuleScript::Ok).named(IDEMPOTENT).idempotent();
            world.whmcs.set_module(product.pid, module);
        }
    }
    let folder = tempfile::tempdir()?;
    let database = match args.store.as_str() {
        "postgres" => Some(Database::create().await),
        _ => None,
    };
    let url = match &database {
        Some(database) => database.url(),
        None => format!("sqlite:{}", folder.path().join("soak.db").display()),
    };
    let mut rng = StdRng::seed_from_u64(args.seed);
    let mut programs = Programs::start(args, &world, &url, folder.path())?;
    let mut orders = Vec::new();
    let started = Instant::now();
    let mut last_report = Instant::now();
    while started.elapsed() < Duration::from_secs_f64(args.minutes * 60.0) {
        orders.extend(faults::new_orders(&world, &mut rng)?);
        faults::inject(&world, &mut rng);
        operator::operate(&world, &orders, &mut rng)?;
        programs.disturb(&mut rng)?;
        if last_report.elapsed() > Duration::from_secs(15) {
            last_report = Instant::now();
            say(&format!(
                "{:>5.0} s  {} orders, {}",
                started.elapsed().as_secs_f64(),
                orders.len(),
                programs.summary()
            ));
        }
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..400))).await;
    }
    say("end of orders and faults; waiting for the remaining orders");
    world.salesforce.clear_faults();
    world.whmcs.clear_faults();
    programs.resume_all()?;
    let finished =
        verify::wait_until_provisioned(&world, &orders, Duration::from_secs(300)).await?;
    let consistent = verify::compare(&world, &orders) && finished;
    say(&format!(
        "{} on {}: {}; seed {}",
        orders.len(),
        args.store,
        programs.summary(),
        args.seed
    ));
    if !consistent {
        programs.save_logs(folder.path())?;
    }
    programs.stop().await?;
    drop(database);
    Ok(consistent)
}

#[expect(clippy::print_stdout, reason = "command-line output")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
