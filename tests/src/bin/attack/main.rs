//! Attacks the real portal as one customer from eight connections at full speed, and measures
//! what others get meanwhile.
//!
//! ```text
//! cargo build --release -p portal -p e2e --bin portal --bin attack
//! target/release/attack --bins target/release
//! ```
//!
//! Prints a row per attack and exits with 0 only when every limit held: other customers' reads
//! (each on a new connection) within 50 ms at the 99th percentile, no failed read, console page
//! or probe, no more calls to Salesforce than the portal's limits permit, and less than 100 MiB
//! of memory.

mod attacks;
mod bystanders;
mod identity;
mod report;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use attacks::{Answers, Attack};
use clap::Parser;
use e2e::portal_process::PortalProcess;
use report::Row;
use rustix::process::setpriority_process;
use simulators::{World, WorldOptions};
use target::Target;
use tokio::runtime::Runtime;

/// Connections of the attacker.
const CONNECTIONS: u8 = 8;
/// Customers that read one order a second each.
const BYSTANDERS: usize = 8;

const ATTACKER_NICE: i32 = 10;

/// Attacks the portal and measures what others get meanwhile.
#[derive(Parser, Debug)]
#[command(name = "attack", version)]
struct Args {
    /// Duration of each attack
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Only this attack
    #[arg(long, value_enum)]
    only: Option<Attack>,
    /// Folder with the program `portal`
    #[arg(long, default_value = "target/release")]
    bins: PathBuf,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    outbound::install_crypto_provider();
    runtime::raise_nofile();
    // An attacker computes on a machine of its own: here its threads yield to everybody else's.
    let runtime = tokio::runtime::Builder::new_multi_thread;
    let others = runtime().enable_all().build()?;
    let attacker = runtime()
        .enable_all()
        .on_thread_start(|| {
            // Without it the figures are only worse.
            let _ = setpriority_process(None, ATTACKER_NICE);
        })
        .build()?;
    others.block_on(run_all(&args, &attacker))
}

async fn run_all(args: &Args, attacker: &Runtime) -> anyhow::Result<ExitCode> {
    let world = World::start(WorldOptions {
        // The first one is the attacker's.
        accounts: 1 + BYSTANDERS,
        ..WorldOptions::default()
    })
    .await?;
    let identity = identity::IdentityProvider::start(&world).await?;
    let folder = tempfile::tempdir()?;
    let settings = [
        ("PORTAL_JWKS_URL", identity.url()),
        ("PORTAL_JWT_AUDIENCE", target::AUDIENCE.to_owned()),
        ("OPS_TOKEN", target::OPS_TOKEN.to_owned()),
        ("RUST_LOG", "error".to_owned()),
    ];
    let portal = PortalProcess::start(&args.bins, &world, folder.path(), &settings).await?;
    let target = Arc::new(Target::new(&world, &portal, &identity)?);
    report::print_header(args.seconds);
    let mut all_held = true;
    for attack in Attack::ALL {
        if args.only.is_some_and(|only| only != attack) {
            continue;
        }
        identity.hang(attack == Attack::UnknownKeys);
        let (calls, fetches) = (world.salesforce.calls().len(), identity.fetches());
        let (answers, seen) = run(args, attack, attacker, &target, &portal).await?;
        let row = Row {
            attack,
            seconds: args.seconds,
            answers,
            seen,
            calls: world.salesforce.calls().len() - calls,
            fetches: identity.fetches() - fetches,
        };
        all_held &= report::print(&row);
    }
    Ok(match all_held {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Runs one attack and returns what it got, and what others got.
async fn run(
    args: &Args,
    attack: Attack,
    attacker: &Runtime,
    target: &Arc<Target>,
    portal: &PortalProcess,
) -> anyhow::Result<(Answers, bystanders::Seen)> {
    let ends = Instant::now() + Duration::from_secs(args.seconds);
    let attackers: Vec<_> = (0..CONNECTIONS)
        .map(|connection| attacker.spawn(attack.run(Arc::clone(target), connection, ends)))
        .collect();
    let seen = bystanders::watch(target, portal, ends).await?;
    let mut answers = Answers::default();
    for attacker in attackers {
        answers.add(attacker.await??);
    }
    Ok((answers, seen))
}
