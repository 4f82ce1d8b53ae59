//! Runs the real programs for minutes on end, between simulated systems that misbehave, while
//! the programs are killed, frozen and stopped at random; then lets the dust settle and
//! balances the books.
//!
//! ```text
//! cargo build --release -p subscriber -p worker
//! cargo run --release -p e2e --bin soak -- --minutes 60 --bins target/release
//! ```
//!
//! Half of the modules build again when they are called again. Exit 0 only when no order was
//! lost, none was placed or built twice, and both systems say the same; a run with a mutation
//! must therefore end with 1.

mod books;
mod programs;
mod staff;
mod trouble;

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

/// Real programs, misbehaving surroundings, balanced books.
#[derive(Parser, Debug)]
#[command(name = "soak", version)]
pub(crate) struct Args {
    /// How long orders come and things go wrong
    #[arg(long, default_value_t = 3.0)]
    minutes: f64,
    /// Seed of everything random here
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Subscribers that run beside each other
    #[arg(long, default_value_t = 2)]
    subscribers: usize,
    /// Workers that run beside each other
    #[arg(long, default_value_t = 3)]
    workers: usize,
    /// sqlite or postgres
    #[arg(long, default_value = "postgres", value_parser = ["sqlite", "postgres"])]
    store: String,
    /// Take a safeguard away, to show that the run notices
    #[arg(long, value_enum)]
    mutation: Option<Mutation>,
    /// Folder of the programs `subscriber` and `worker`
    #[arg(long, default_value = "target/debug")]
    bins: PathBuf,
}

/// A safeguard that can be taken away.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Every module is listed as idempotent: what AcceptOrder left in doubt is built again.
    RepeatAccept,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let balanced = runtime
        .context("no runtime")
        .and_then(|runtime| runtime.block_on(run(&args)));
    match balanced {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// The module that finds its accounts again.
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
        // Every other one; the rest builds another account each time it is called.
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
    let mut dice = StdRng::seed_from_u64(args.seed);
    let mut programs = Programs::start(args, &world, &url, folder.path())?;
    let mut orders = Vec::new();
    let begun = Instant::now();
    let mut told = Instant::now();
    while begun.elapsed() < Duration::from_secs_f64(args.minutes * 60.0) {
        orders.extend(trouble::new_orders(&world, &mut dice)?);
        trouble::befall(&world, &mut dice);
        staff::operate(&world, &orders, &mut dice)?;
        programs.disturb(&mut dice)?;
        if told.elapsed() > Duration::from_secs(15) {
            told = Instant::now();
            say(&format!(
                "{:>5.0} s  {} orders, {}",
                begun.elapsed().as_secs_f64(),
                orders.len(),
                programs.queue_stats()
            ));
        }
        tokio::time::sleep(Duration::from_millis(dice.random_range(50..400))).await;
    }
    say("no more orders and no more trouble; the programs finish what is left");
    world.salesforce.clear_faults();
    world.whmcs.clear_faults();
    programs.all_up()?;
    let settled = books::settle(&world, &orders, Duration::from_secs(300)).await?;
    let balanced = books::balance(&world, &orders) && settled;
    say(&format!(
        "{} on {}: {}; seed {}",
        orders.len(),
        args.store,
        programs.queue_stats(),
        args.seed
    ));
    if !balanced {
        programs.show_logs(folder.path())?;
    }
    programs.stop().await?;
    drop(database);
    Ok(balanced)
}

#[expect(clippy::print_stdout, reason = "telling is what this program is for")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
