//! Command line of the simulation: many seeds, or the trace of one.
#![expect(clippy::print_stdout, reason = "command-line output")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use simulation::{Engine, Mutation, run_on};

/// Runs seeded schedules of intake and provisioning with fault injection, and stops at the first
/// that breaks a promise.
#[derive(Parser, Debug)]
#[command(name = "simulation", version)]
struct Args {
    /// Number of seeds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// First seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run only this seed and print its trace
    #[arg(long)]
    replay: Option<u64>,
    /// Continue after a seed that breaks a promise, and count them
    #[arg(long)]
    go_on: bool,
    /// Keep the jobs in a SQLite file instead of in memory
    #[arg(long)]
    sqlite: bool,
    /// Disable this safeguard
    #[arg(long, value_parser = mutation, default_value = "None")]
    mutation: Mutation,
}

fn mutation(name: &str) -> Result<Mutation, String> {
    let known = [Mutation::None].into_iter().chain(Mutation::ALL);
    let mut names = known.clone().map(|mutation| format!("{mutation:?}"));
    known
        .clone()
        .find(|mutation| format!("{mutation:?}") == name)
        .ok_or_else(|| {
            let all: Vec<_> = names.by_ref().collect();
            format!(
                "`{name}` is not a valid mutation: expected one of {}",
                all.join(", ")
            )
        })
}

fn main() -> ExitCode {
    let args = Args::parse();
    let engine = match args.sqlite {
        true => Engine::Sqlite,
        false => Engine::Memory,
    };
    if let Some(seed) = args.replay {
        let schedule = run_on(engine, seed, args.mutation, true);
        println!("{}", schedule.trace);
        for breach in &schedule.breaches {
            println!("{breach}");
        }
        return code(schedule.breaches.is_empty());
    }
    let (started, mut lasted, mut broken) = (Instant::now(), Duration::ZERO, 0);
    for seed in args.from..args.from.saturating_add(args.seeds) {
        let schedule = run_on(engine, seed, args.mutation, false);
        lasted += schedule.lasted;
        if !schedule.breaches.is_empty() {
            println!("seed {seed} breaks {} promises:", schedule.breaches.len());
            for breach in &schedule.breaches {
                println!("  {breach}");
            }
            println!(
                "replay: cargo run -p simulation -- --mutation {:?} --replay {seed}",
                args.mutation
            );
            broken += 1;
            if !args.go_on {
                return code(false);
            }
        }
    }
    println!(
        "{broken} of {} schedules broke a promise: {:.1} s real time, {:.0} hours virtual time",
        args.seeds,
        started.elapsed().as_secs_f64(),
        lasted.as_secs_f64() / 3600.0
    );
    code(broken == 0)
}

fn code(kept: bool) -> ExitCode {
    if kept {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
