//! Memory that the real portal takes up for each open event stream.
//!
//! ```text
//! cargo build --release -p portal -p e2e --bin portal --bin streams
//! target/release/streams --bins target/release
//! ```
//!
//! Exits with 0 only when it is less than 10 KiB.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Parser;
use e2e::portal_process::PortalProcess;
use simulators::salesforce::{Line, NewOrder};
use simulators::{World, WorldOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIMIT_KIB: f64 = 10.0;
/// Streams that are opened before the first measurement: what they share is not counted.
const FIRST: usize = 500;

/// Memory of open event streams.
#[derive(Parser, Debug)]
#[command(name = "streams", version)]
struct Args {
    /// Number of measured streams
    #[arg(long, default_value_t = 3000)]
    streams: usize,
    /// Seconds before each measurement, in which every stream is polled
    #[arg(long, default_value_t = 10)]
    settle_seconds: u64,
    /// Folder with the program `portal`
    #[arg(long, default_value = "target/release")]
    bins: PathBuf,
}

#[tokio::main]
#[expect(clippy::print_stdout, reason = "command-line output")]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    outbound::install_crypto_provider();
    runtime::raise_nofile();
    let world = World::start(WorldOptions::default()).await?;
    let order = NewOrder {
        account: world.accounts[0].salesforce.clone(),
        lines: vec![Line::new(&world.products[0].pricebook_entry, 1)],
        ..NewOrder::default()
    };
    let placed = world.salesforce.place_order(order);
    let order = placed.map_err(|refusal| anyhow::anyhow!("no order placed: {refusal:?}"))?;
    let folder = tempfile::tempdir()?;
    let settings = [
        ("PORTAL_AUTH", "none".to_owned()),
        ("HTTP_MAX_CONNECTIONS_PER_PEER", "4096".to_owned()),
        ("RUST_LOG", "warn".to_owned()),
    ];
    let portal = PortalProcess::start(&args.bins, &world, folder.path(), &settings).await?;
    let settle = || tokio::time::sleep(Duration::from_secs(args.settle_seconds));
    let mut streams = open(&portal, &order, FIRST).await?;
    settle().await;
    let before = portal.memory_kib()?;
    streams.extend(open(&portal, &order, args.streams).await?);
    settle().await;
    let after = portal.memory_kib()?;
    let each = after.saturating_sub(before) as f64 / args.streams as f64;
    println!(
        "{} streams: {before} KiB before, {after} KiB after, {each:.1} KiB per stream (limit {LIMIT_KIB} KiB)",
        args.streams
    );
    Ok(match each < LIMIT_KIB {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Opens streams, each of which has sent its first event.
async fn open(portal: &PortalProcess, order: &str, count: usize) -> anyhow::Result<Vec<TcpStream>> {
    let address = portal.url.trim_start_matches("http://");
    let request = format!("GET /api/orders/{order}/events HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut streams = Vec::with_capacity(count);
    for _ in 0..count {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut got = String::new();
        while !got.contains("data:") {
            let mut part = [0; 2048];
            match stream.read(&mut part).await? {
                0 => bail!("the stream ended: {got}"),
                length => got.push_str(&String::from_utf8_lossy(&part[..length])),
            }
        }
        streams.push(stream);
    }
    Ok(streams)
}
