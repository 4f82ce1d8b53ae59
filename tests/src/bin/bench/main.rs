//! How fast the real programs are between the simulated systems, on SQLite and on PostgreSQL.
//!
//! ```text
//! cargo build --release --workspace --bins
//! target/release/bench ingest
//! ```
//!
//! Everything runs on this machine: the programs, the simulated systems and the database share its
//! cores. The time of one flush to disk is printed before and after; without it no figure means
//! anything. Exits with 0 only when every limit holds.

mod idle;
mod ingest;
mod latency;
mod orders;
mod programs;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};

/// Measures the real programs between the simulated systems
#[derive(Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(subcommand)]
    measurement: Measurement,
    #[command(flatten)]
    common: Common,
}

/// What every measurement needs.
#[derive(Args)]
pub(crate) struct Common {
    /// Folder with the programs
    #[arg(long, default_value = "target/release", global = true)]
    pub(crate) bins: PathBuf,
    /// Measurements of each store; the medians are compared with the limits
    #[arg(long, default_value_t = 3, global = true)]
    pub(crate) rounds: usize,
}

#[derive(Subcommand)]
enum Measurement {
    /// A backlog of events, until all are jobs
    Ingest(ingest::Options),
    /// From approval to AddOrder, and to the result in Salesforce
    Latency(latency::Options),
    /// Many orders at once, until all are provisioned
    Orders(orders::Options),
    /// What the programs take up while nothing happens
    Idle(idle::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::parse();
    outbound::install_crypto_provider();
    let before = flush()?;
    let held = match cli.measurement {
        Measurement::Ingest(options) => ingest::measure(&cli.common, &options).await,
        Measurement::Latency(options) => latency::measure(&cli.common, &options).await,
        Measurement::Orders(options) => orders::measure(&cli.common, &options).await,
        Measurement::Idle(options) => idle::measure(&cli.common, &options).await,
    }?;
    say(&format!(
        "\nOne flush: {before:.2?} before, {:.2?} after.",
        flush()?
    ));
    Ok(match held {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The median time of a flush of 8 KiB to disk.
fn flush() -> anyhow::Result<Duration> {
    let mut file = tempfile::tempfile()?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let begun = Instant::now();
        file.write_all(&[7; 8192])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Ok(at(&mut times, 50))
}

/// The value that this percentage does not exceed.
pub(crate) fn at<T: PartialOrd + Copy>(values: &mut [T], percent: usize) -> T {
    values
        .sort_unstable_by(|one, other| one.partial_cmp(other).unwrap_or(std::cmp::Ordering::Equal));
    values[(values.len() - 1) * percent / 100]
}

#[expect(clippy::print_stdout, reason = "command-line output")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
