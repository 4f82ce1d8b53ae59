//! Load test of the real portal with many polling customers: response times, and the number of
//! Salesforce reads.
//!
//! ```text
//! cargo build --release -p portal -p e2e --bin portal --bin pollers
//! target/release/pollers --bins target/release
//! ```
//!
//! Exits with 0 only when no response was an error, the 99th percentile is at most 50 ms, and no
//! order was read from Salesforce more than once per 30 s.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use e2e::portal_process::PortalProcess;
use reqwest::header::{ETAG, IF_NONE_MATCH};
use serde_json::Value;
use simulators::salesforce::{Line, NewOrder};
use simulators::{World, WorldOptions};

/// Limit of the 99th percentile.
const LIMIT: Duration = Duration::from_millis(50);
/// Minimum time between two Salesforce reads of an order.
const HALF_MINUTE: Duration = Duration::from_secs(30);

/// Load test with polling customers.
#[derive(Parser, Debug, Clone)]
#[command(name = "pollers", version)]
struct Args {
    /// Number of polling customers
    #[arg(long, default_value_t = 1000)]
    pollers: usize,
    /// Number of orders
    #[arg(long, default_value_t = 200)]
    orders: usize,
    /// Duration of the run, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Polling interval of each customer, in seconds
    #[arg(long, default_value_t = 5)]
    every_seconds: u64,
    /// Folder with the program `portal`
    #[arg(long, default_value = "target/release")]
    bins: PathBuf,
}

/// Measurements of the pollers.
#[derive(Default)]
struct Seen {
    took: Vec<Duration>,
    unchanged: usize,
    errors: BTreeMap<String, usize>,
    /// Times of Salesforce reads, by order.
    reads: BTreeMap<usize, BTreeSet<String>>,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    outbound::install_crypto_provider();
    let world = World::start(WorldOptions::default()).await?;
    let orders = place(&world, args.orders)?;
    let folder = tempfile::tempdir()?;
    let settings = [
        ("PORTAL_AUTH", "none".to_owned()),
        ("RUST_LOG", "warn".to_owned()),
    ];
    let portal = PortalProcess::start(&args.bins, &world, folder.path(), &settings).await?;
    let before = world.salesforce.calls().len();
    let seen = poll(&args, &portal.url, orders).await?;
    let calls = world.salesforce.calls().len() - before;
    Ok(if report(&args, seen, calls) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn place(world: &World, n_orders: usize) -> anyhow::Result<Vec<String>> {
    let entry = &world.products[0].pricebook_entry;
    (0..n_orders)
        .map(|n| {
            let order = NewOrder {
                account: world.accounts[n % world.accounts.len()].salesforce.clone(),
                lines: vec![Line::new(entry, 1)],
                ..NewOrder::default()
            };
            let placed = world.salesforce.place_order(order);
            placed.map_err(|refusal| anyhow::anyhow!("no order could be placed: {refusal:?}"))
        })
        .collect()
}

async fn poll(args: &Args, url: &str, orders: Vec<String>) -> anyhow::Result<Seen> {
    let http = reqwest::Client::builder()
        .pool_max_idle_per_host(args.pollers)
        .build()?;
    let orders = Arc::new(orders);
    let ends = Instant::now() + Duration::from_secs(args.seconds);
    let every = Duration::from_secs(args.every_seconds);
    let pollers: Vec<_> = (0..args.pollers)
        .map(|n| {
            let (http, orders) = (http.clone(), Arc::clone(&orders));
            let order = n % orders.len();
            let url = format!("{url}/api/orders/{}", orders[order]);
            // Spread over the interval, as real customers are.
            let first =
                every.mul_f64(f64::from(u32::try_from(n).unwrap_or(0)) / args.pollers as f64);
            tokio::spawn(async move {
                tokio::time::sleep(first).await;
                look(&http, &url, order, every, ends).await
            })
        })
        .collect();
    let mut all = Seen::default();
    for poller in pollers {
        let seen = poller.await?;
        all.took.extend(seen.took);
        all.unchanged += seen.unchanged;
        for (error, count) in seen.errors {
            *all.errors.entry(error).or_default() += count;
        }
        for (order, reads) in seen.reads {
            all.reads.entry(order).or_default().extend(reads);
        }
    }
    Ok(all)
}

async fn look(
    http: &reqwest::Client,
    url: &str,
    order: usize,
    every: Duration,
    ends: Instant,
) -> Seen {
    let mut seen = Seen::default();
    let mut tag = None;
    let mut beat = tokio::time::interval(every);
    while Instant::now() < ends {
        beat.tick().await;
        let mut request = http.get(url);
        // Every second request has no tag: only a full response has `asOf`.
        if let Some(tag) = tag.take() {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let started = Instant::now();
        let answer = async {
            let answer = request.send().await?.error_for_status()?;
            let unchanged = answer.status().as_u16() == 304;
            let tag = answer.headers().get(ETAG).cloned();
            Ok::<_, reqwest::Error>((unchanged, tag, answer.bytes().await?))
        };
        match answer.await {
            Ok((unchanged, given, body)) => {
                seen.took.push(started.elapsed());
                seen.unchanged += usize::from(unchanged);
                if !unchanged {
                    tag = given;
                    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
                    let read = body["asOf"].as_str().unwrap_or_default().to_owned();
                    seen.reads.entry(order).or_default().insert(read);
                }
            }
            Err(error) => *seen.errors.entry(error.to_string()).or_default() += 1,
        }
    }
    seen
}

/// Prints the measurements and returns whether they are within the limits.
#[expect(clippy::print_stdout, reason = "command-line output")]
fn report(args: &Args, mut seen: Seen, calls: usize) -> bool {
    seen.took.sort_unstable();
    let at = |share: usize| {
        let place = (seen.took.len() * share / 1000).min(seen.took.len().saturating_sub(1));
        seen.took.get(place).copied().unwrap_or_default()
    };
    let errors: usize = seen.errors.values().sum();
    let reads: usize = seen.reads.values().map(BTreeSet::len).sum();
    // Two reads are at least 30 s apart, which bounds their number.
    let room = 1 + usize::try_from((args.seconds + args.every_seconds) / HALF_MINUTE.as_secs())
        .unwrap_or(usize::MAX);
    let most = seen.reads.values().map(BTreeSet::len).max().unwrap_or(0);
    let wide = seen.reads.values().flat_map(gaps).min();
    let Args {
        pollers,
        orders,
        seconds,
        ..
    } = args;
    println!("{pollers} pollers on {orders} orders for {seconds} s");
    println!(
        "responses          {} ({} of them 304), {errors} errors",
        seen.took.len(),
        seen.unchanged
    );
    for (error, count) in &seen.errors {
        println!("  {count} x {error}");
    }
    println!(
        "response time      p50 {:?}, p99 {:?}, p99.9 {:?}, max {:?} (limit: p99 {LIMIT:?})",
        at(500),
        at(990),
        at(999),
        at(1000)
    );
    println!(
        "Salesforce reads   {reads} in {calls} calls; at most {most} per order (limit {room}), min gap {wide:?} s"
    );
    errors == 0
        && at(990) < LIMIT
        && most <= room
        && wide.is_none_or(|wide| wide >= HALF_MINUTE.as_secs())
}

/// Seconds between RFC 3339 timestamps.
fn gaps(moments: &BTreeSet<String>) -> Vec<u64> {
    let seconds: Vec<_> = moments
        .iter()
        .filter_map(|moment| moment.parse::<jiff::Timestamp>().ok())
        .map(jiff::Timestamp::as_millisecond)
        .collect();
    seconds
        .windows(2)
        .map(|pair| u64::try_from((pair[1] - pair[0]) / 1000).unwrap_or(0))
        .collect()
}
