//! Follows the Salesforce channel and turns every event into a job.

mod config;
mod follow;
mod gauges;
mod health;
mod wrap;

use std::sync::Arc;
use std::time::Duration;

use app::Program;
use domain::ports::Clock;
use runtime::{Failure, Metrics, Routes, SystemClock};
use settings::Given;
use tokio_util::sync::CancellationToken;

pub use config::{Args, Config};
use follow::Follower;
use health::HealthPage;
pub use wrap::WrapPorts;

/// Checks the settings and runs until a signal.
///
/// # Errors
/// A setting cannot be used, or something went wrong at run time.
pub fn start(given: &Given<Args>) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let config = Config::of(given)?;
    runtime::run_until_signalled(|shutdown| run(config, Metrics::install(), shutdown))
}

/// Runs until `shutdown`.
///
/// # Errors
/// The store, the certificates or the listener's address cannot be used.
pub async fn run(
    config: Config,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    run_with(config, metrics, shutdown, WrapPorts::default()).await
}

/// As [`run`], over wrapped ports.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: Config,
    metrics: Metrics,
    shutdown: CancellationToken,
    wrap: WrapPorts,
) -> Result<(), Failure> {
    let program = Program::open("subscriber", config.program, metrics).await?;
    let store = Arc::clone(&program.store.ports);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let channel = config.intake.channel.clone();
    let follower = match &config.salesforce {
        Some(salesforce) => Some(Follower::new(
            salesforce,
            &program.reload,
            config.intake,
            store.clone(),
            Arc::clone(&clock),
            wrap.intake,
        )?),
        None => None,
    };
    let page = Arc::new(HealthPage {
        store: store.clone(),
        events: store,
        channel,
        health: follower.as_ref().map(|follower| follower.intake.health()),
        clients: follower
            .as_ref()
            .map(|follower| Arc::clone(&follower.clients)),
        clock,
    });
    tokio::spawn(gauges::keep(Arc::clone(&page), shutdown.clone()));
    let observing = Arc::clone(&page);
    let conditions = move || observing.conditions();
    let monitoring = (wrap.monitoring)(program.monitoring_ports()?);
    let routes = Routes {
        probes: health::routes(Arc::clone(&page)),
        ..Routes::default()
    };
    let running = program.start(page, routes, monitoring, conditions, &shutdown);
    match follower {
        Some(follower) => {
            follower.clients.watch_names(shutdown.clone());
            follower.run(shutdown.clone()).await;
        }
        None => shutdown.cancelled().await,
    }
    running.stop(Duration::from_secs(2)).await;
    tracing::info!("subscriber stopped");
    Ok(())
}
