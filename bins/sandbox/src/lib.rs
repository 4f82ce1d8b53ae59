//! Simulated Salesforce and WHMCS on local ports.

mod config;

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use simulators::{
    Control, World, WorldOptions,
    salesforce::{PRIVATE_KEY_PEM, SalesforceOptions},
    whmcs::WhmcsOptions,
};
use tokio_util::sync::CancellationToken;

pub use config::Config;

/// Runs both simulators and the control API until `shutdown`.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    write_key(&config.key_out)?;
    let world = World::start(WorldOptions {
        salesforce: SalesforceOptions {
            rest_port: config.salesforce_port,
            pubsub_port: config.pubsub_port,
            seed: config.seed,
            ..SalesforceOptions::default()
        },
        whmcs: WhmcsOptions {
            port: config.whmcs_port,
            seed: config.seed,
            ..WhmcsOptions::default()
        },
        products: config.products,
        accounts: config.accounts,
    })
    .await
    .context("a port of the sandbox cannot be opened; choose others, see sandbox --help")?;
    let world = Arc::new(world);
    let control = Control::start(world.clone(), config.control_port)
        .await
        .context("SANDBOX_CONTROL_PORT cannot be opened")?;
    announce(&environment_block(&world, &config.key_out, &control.url()));
    shutdown.cancelled().await;
    control.stop().await;
    world.salesforce.stop().await;
    world.whmcs.stop().await;
    Ok(())
}

fn write_key(path: &Path) -> anyhow::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("SANDBOX_KEY_OUT: cannot create {}", folder.display()))?;
    }
    std::fs::write(path, PRIVATE_KEY_PEM)
        .with_context(|| format!("SANDBOX_KEY_OUT: cannot write {}", path.display()))
}

/// Shell commands that make `subscriber` and `worker` use the sandbox.
fn environment_block(world: &World, key: &Path, control: &str) -> String {
    let key = std::path::absolute(key).unwrap_or_else(|_| key.to_owned());
    let mut lines = vec![format!("# sandbox is ready; control API: {control}")];
    let settings = world.environment().into_iter();
    let settings = settings.chain([("SF_PRIVATE_KEY_FILE", key.display().to_string())]);
    lines.extend(settings.map(|(name, value)| format!("export {name}={}", quoted(&value))));
    lines.push(format!(
        "# an approved order: curl -X POST {control}/orders -H 'content-type: application/json' -d '{{\"approve\":true}}'"
    ));
    lines.join("\n")
}

fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@".contains(c);
    if value.chars().all(plain) {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "'\\''"))
    }
}

#[expect(clippy::print_stdout, reason = "command-line output")]
fn announce(text: &str) {
    println!("{text}");
}
