//! Takes the screenshots in `docs/images`: five console screens and the customer page, each in
//! desktop and phone width.
//!
//! ```text
//! cargo run -p demo -- --keep --by-hand
//! cargo run -p e2e --bin pictures
//! ```

use std::path::PathBuf;

use anyhow::Context;
use clap::Parser;
use serde_json::Value;
use test_browser::Browser;

/// Width in pixels, and its name.
const SIZES: [(u32, &str); 2] = [(1280, "desk"), (390, "phone")];

/// Takes screenshots of a running portal without authentication.
#[derive(Parser, Debug)]
#[command(name = "pictures", version)]
struct Args {
    /// URL of the portal
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// Output folder
    #[arg(long, default_value = "docs/images")]
    out: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let browser = Browser::open().await;
    browser.size(1280, 800).await;
    browser
        .go(&format!("{}/ops/api/orders?stage=failed", args.url))
        .await;
    let failed = browser.eval("return document.body.innerText").await;
    let failed: Value = serde_json::from_str(failed.as_str().unwrap_or_default())
        .context("the portal lists no orders")?;
    let order = failed["orders"][0]["sfOrderId"]
        .as_str()
        .context("no order has failed; start the demo with --by-hand")?
        .to_owned();
    let pages = [
        ("overview", "/ops".to_owned()),
        ("orders", "/ops/orders".to_owned()),
        ("order", format!("/ops/orders/{order}")),
        ("failures", "/ops/failures".to_owned()),
        ("system", "/ops/system".to_owned()),
        ("customer", format!("/orders/{order}")),
    ];
    std::fs::create_dir_all(&args.out)?;
    for (width, size) in SIZES {
        browser.size(width, 800).await;
        for (name, path) in &pages {
            browser.go(&format!("{}{path}", args.url)).await;
            browser.wait_for_text("h1", "").await;
            browser
                .screenshot(&args.out.join(format!("{name}-{size}.png")))
                .await;
        }
    }
    Ok(())
}
