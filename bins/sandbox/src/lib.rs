//! Simulated Salesforce and WHMCS on local ports.

mod config;
mod files;
mod state;
mod tls;

use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::anyhow;
use simulators::{
    BindError, Control, Listen, Port, World, WorldOptions,
    salesforce::{PRIVATE_KEY_PEM, SalesforceOptions},
    whmcs::WhmcsOptions,
};
use tokio_util::sync::CancellationToken;

pub use config::Config;

/// Runs both simulators and the control API until `shutdown`.
pub async fn run(config: Config, shutdown: CancellationToken) -> anyhow::Result<()> {
    runtime::init_logs(&config.logs);
    files::write("SANDBOX_KEY_OUT", &config.key_out, PRIVATE_KEY_PEM, true)?;
    let listen = tls::listen(&config)?;
    let world = World::start(options(&config, &listen)).await;
    let world = world.map_err(port_taken)?;
    let world = Arc::new(world.with_environment(ca_settings(&config)));
    state::seed(&config, &world)?;
    // What a reset goes back to has no part of an earlier run.
    world.remember();
    state::load(&config, &world)?;
    let control = Control::start_on(world.clone(), &listen, config.control_port);
    let control = control.await.map_err(port_taken)?;
    let settings = settings(&config, &world);
    if let Some(file) = &config.env_file {
        let text = format!(
            "# The settings of a sandbox.\n{}SANDBOX_CONTROL_URL={}\n",
            files::environment(&settings),
            control.url()
        );
        files::write("SANDBOX_ENV_FILE", file, &text, true)?;
    }
    announce(&environment_block(&settings, &control.url()));
    shutdown.cancelled().await;
    control.stop().await;
    world.salesforce.stop().await;
    world.whmcs.stop().await;
    state::save(&config, &world)
}

fn options(config: &Config, listen: &Listen) -> WorldOptions {
    WorldOptions {
        salesforce: SalesforceOptions {
            listen: listen.clone(),
            rest_port: config.salesforce_port,
            pubsub_port: config.pubsub_port,
            seed: config.seed,
            ..SalesforceOptions::default()
        },
        whmcs: WhmcsOptions {
            listen: listen.clone(),
            port: config.whmcs_port,
            folder: config.whmcs_folder.clone(),
            seed: config.seed,
            ..WhmcsOptions::default()
        },
        products: config.products,
        accounts: config.accounts,
    }
}

/// Names the flag of a port that cannot be opened.
fn port_taken(error: io::Error) -> anyhow::Error {
    let Some(found) = BindError::of(&error) else {
        return error.into();
    };
    let flag = match found.port {
        Port::Salesforce => "--salesforce-port",
        Port::PubSub => "--pubsub-port",
        Port::Whmcs => "--whmcs-port",
        Port::Control => "--control-port",
    };
    let (address, source) = (found.address, &found.source);
    let fix = match source.kind() {
        io::ErrorKind::AddrInUse => {
            format!(
                "another program listens there. Choose another port with {flag}, or 0 for a free one"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine does not have the address. Choose another with --bind".to_owned()
        }
        _ => format!("{source}. Choose another port with {flag}, or another address with --bind"),
    };
    anyhow!("{flag}: {address} cannot be opened: {fix}")
}

fn absolute(path: &Path) -> String {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    path.display().to_string()
}

/// The settings that make the bridge trust the sandbox's certificate.
fn ca_settings(config: &Config) -> Vec<(String, String)> {
    if !config.uses_tls() {
        return Vec::new();
    }
    let ca = absolute(&config.ca_out);
    ["SF_CA_FILE", "WHMCS_CA_FILE"]
        .map(|name| (name.to_owned(), ca.clone()))
        .to_vec()
}

/// The bridge's settings for this sandbox.
fn settings(config: &Config, world: &World) -> Vec<(String, String)> {
    let known = world.environment().into_iter();
    let key = ("SF_PRIVATE_KEY_FILE", absolute(&config.key_out));
    // An order that is approved before the subscriber starts does not wait for a sweep.
    let replay = ("SF_EVENTS_REPLAY", "ALL".to_owned());
    let all = known.chain([key, replay]);
    all.map(|(name, value)| (name.to_owned(), value))
        .chain(ca_settings(config))
        .collect()
}

/// Shell commands that make `subscriber` and `worker` use the sandbox.
fn environment_block(settings: &[(String, String)], control: &str) -> String {
    let mut lines = vec![format!("# sandbox is ready; control API: {control}")];
    let exports = settings
        .iter()
        .map(|(name, value)| format!("export {name}={}", ::settings::quoted(value)));
    lines.extend(exports);
    lines.push(format!(
        "# an approved order: curl -X POST {control}/orders -H 'content-type: application/json' -d '{{\"approve\":true}}'"
    ));
    lines.join("\n")
}

#[expect(clippy::print_stdout, reason = "command-line output")]
fn announce(text: &str) {
    println!("{text}");
}
