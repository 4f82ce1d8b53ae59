//! The real programs in one process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use runtime::{Failure, Listener, Metrics};
use simulators::World;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Preferred address of the portal.
const PORTAL: &str = "127.0.0.1:8080";

/// Running subscriber, worker and portal.
pub(crate) struct Bridge {
    shutdown: CancellationToken,
    /// URL of the portal.
    pub(crate) portal: String,
    programs: Vec<JoinHandle<Result<(), Failure>>>,
}

impl Bridge {
    /// Starts them with the settings a user would give.
    pub(crate) async fn start(
        world: &World,
        data: &Path,
        quiet: Duration,
        http_addr: Option<SocketAddr>,
    ) -> anyhow::Result<Self> {
        let database = format!("sqlite:{}", data.join("orderbridge.db").display());
        let quiet = format!("{}ms", quiet.as_millis());
        let mut subscriber = settings_of(world, &database, |name| name.starts_with("SF_"));
        subscriber.push(("SF_EVENTS_REPLAY", "ALL".to_owned()));
        let mut worker = settings_of(world, &database, |name| !name.starts_with("SF_PUBSUB"));
        worker.push(("WHMCS_QUIET_PERIOD", quiet));
        let mut portal = settings_of(world, &database, |name| {
            name == "WHMCS_URL" || (name.starts_with("SF_") && !name.starts_with("SF_PUBSUB"))
        });
        portal.push(("PORTAL_AUTH", "none".to_owned()));
        let shutdown = CancellationToken::new();
        let metrics = Metrics::install();
        let subscriber = subscriber::Config::of(&settings::given(subscriber)?)
            .context("settings of the subscriber")?;
        let worker =
            worker::Config::of(&settings::given(worker)?).context("settings of the worker")?;
        let portal =
            portal::Config::of(&settings::given(portal)?).context("settings of the portal")?;
        let listener = listen(http_addr).await?;
        let address = format!("http://{}", listener.address()?);
        let programs = vec![
            tokio::spawn(portal::serve(
                portal,
                listener,
                metrics.clone(),
                shutdown.clone(),
            )),
            tokio::spawn(subscriber::run(
                subscriber,
                metrics.clone(),
                shutdown.clone(),
            )),
            tokio::spawn(worker::run(worker, metrics, shutdown.clone())),
        ];
        Ok(Self {
            shutdown,
            portal: address,
            programs,
        })
    }

    /// Whether one of them has ended early.
    pub(crate) fn is_broken(&self) -> bool {
        self.programs.iter().any(JoinHandle::is_finished)
    }

    /// Stops them, and fails if one has failed.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        for program in self.programs {
            match program.await {
                Ok(Ok(())) => {}
                ended => anyhow::bail!("a program failed: {ended:?}"),
            }
        }
        Ok(())
    }
}

async fn listen(wanted: Option<SocketAddr>) -> anyhow::Result<Listener> {
    if let Some(address) = wanted {
        return Listener::bind(address)
            .await
            .with_context(|| format!("HTTP_ADDR: {address} cannot be used"));
    }
    match Listener::bind(PORTAL.parse()?).await {
        Ok(listener) => Ok(listener),
        Err(_) => Ok(Listener::bind("127.0.0.1:0".parse()?).await?),
    }
}

fn settings_of(
    world: &World,
    database: &str,
    takes: impl Fn(&str) -> bool,
) -> Vec<(&'static str, String)> {
    // Program logs would break up the table, so they are off unless requested.
    let log = std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned());
    let fixed = [
        ("DATABASE_URL", database.to_owned()),
        ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
        ("RUST_LOG", log),
        ("SF_PRIVATE_KEY", world.salesforce.login().private_key_pem),
    ];
    let given = world
        .environment()
        .into_iter()
        .filter(|(name, _)| takes(name));
    fixed.into_iter().chain(given).collect()
}
