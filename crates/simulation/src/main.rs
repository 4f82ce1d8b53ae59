//! The simulation by hand: many seeds, or one of them told.
#![expect(clippy::print_stdout, reason = "telling is what this program is for")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use simulation::{Engine, Sabotage, run_on};

/// Runs seeded schedules of intake and provisioning in a world where everything fails, and
/// stops at the first that breaks a promise.
#[derive(Parser, Debug)]
#[command(name = "simulation", version)]
struct Args {
    /// How many seeds
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// The first seed
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Run this seed alone and tell who did what, when
    #[arg(long)]
    replay: Option<u64>,
    /// Go on after a seed that breaks a promise, and count
    #[arg(long)]
    go_on: bool,
    /// Keep the jobs in a SQLite file
    #[arg(long)]
    sqlite: bool,
    /// Take this part of the safety net away
    #[arg(long, value_parser = sabotage, default_value = "None")]
    sabotage: Sabotage,
}

fn sabotage(name: &str) -> Result<Sabotage, String> {
    let known = [Sabotage::None].into_iter().chain(Sabotage::ALL);
    let mut names = known.clone().map(|sabotage| format!("{sabotage:?}"));
    known
        .clone()
        .find(|sabotage| format!("{sabotage:?}") == name)
        .ok_or_else(|| {
            let all: Vec<_> = names.by_ref().collect();
            format!("one of {}", all.join(", "))
        })
}

fn main() -> ExitCode {
    let args = Args::parse();
    let engine = match args.sqlite {
        true => Engine::Sqlite,
        false => Engine::Memory,
    };
    if let Some(seed) = args.replay {
        let schedule = run_on(engine, seed, args.sabotage, true);
        println!("{}", schedule.trace);
        for breach in &schedule.breaches {
            println!("{breach}");
        }
        return code(schedule.breaches.is_empty());
    }
    let (begun, mut lasted, mut broken) = (Instant::now(), Duration::ZERO, 0);
    for seed in args.from..args.from.saturating_add(args.seeds) {
        let schedule = run_on(engine, seed, args.sabotage, false);
        lasted += schedule.lasted;
        if !schedule.breaches.is_empty() {
            println!("seed {seed} breaks {} promises:", schedule.breaches.len());
            for breach in &schedule.breaches {
                println!("  {breach}");
            }
            println!(
                "replay: cargo run -p simulation -- --sabotage {:?} --replay {seed}",
                args.sabotage
            );
            broken += 1;
            if !args.go_on {
                return code(false);
            }
        }
    }
    println!(
        "{broken} of {} schedules broke a promise: {:.1} s here, {:.0} hours there",
        args.seeds,
        begun.elapsed().as_secs_f64(),
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
