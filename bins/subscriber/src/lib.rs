//! Follows the Salesforce channel and turns every event into a job.

mod config;
mod follow;
mod gauges;
mod health;

use std::sync::Arc;

use domain::ports::Clock;
use runtime::{Failure, Listener, Metrics, SystemClock};
use tokio_util::sync::CancellationToken;

pub use config::{Args, Config};
use follow::Follower;
use health::HealthPage;

/// Checks the settings and runs until a signal.
///
/// # Errors
/// A setting cannot be used, or something went wrong at run time.
pub fn start(args: &Args) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let config = args.check()?;
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
    run_with(config, metrics, shutdown, |ports| ports).await
}

/// As [`run`], over ports that `around` may wrap: to watch or disturb every call and commit.
///
/// # Errors
/// As [`run`].
pub async fn run_with(
    config: Config,
    metrics: Metrics,
    shutdown: CancellationToken,
    around: impl FnOnce(intake::Ports) -> intake::Ports,
) -> Result<(), Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = job_store::open(&config.store, Arc::clone(&clock))
        .await
        .map_err(Failure::run)?;
    let listener = Listener::bind(config.http_addr)
        .await
        .map_err(Failure::run)?;
    let address = listener.address().map_err(Failure::run)?;
    let follower = match &config.salesforce {
        Some(salesforce) => Some(Follower::new(
            salesforce,
            config.intake.clone(),
            store.intake,
            Arc::clone(&clock),
            around,
        )?),
        None => None,
    };
    let tokens = follower
        .as_ref()
        .map(|follower| Arc::clone(&follower.tokens));
    let mended = tokens.clone();
    let _hangups = runtime::on_hangup(move || {
        if let Some(tokens) = &mended {
            tokens.reset();
        }
    })
    .map_err(Failure::run)?;
    let page = Arc::new(HealthPage {
        tokens,
        store: store.reader,
        channel: config.intake.channel.clone(),
        health: follower.as_ref().map(|follower| follower.intake.health()),
        clock,
    });
    tracing::info!(%address, store = %config.store, enabled = follower.is_some(), "subscriber started");
    tokio::spawn(gauges::keep(Arc::clone(&page), shutdown.clone()));
    let serving = tokio::spawn(listener.serve(
        Arc::clone(&page) as _,
        metrics,
        health::routes(page),
        shutdown.clone(),
    ));
    match follower {
        Some(follower) => follower.run(shutdown.clone()).await,
        None => shutdown.cancelled().await,
    }
    // Open connections to the health page must not hold the end up.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), serving).await;
    tracing::info!("subscriber stopped");
    Ok(())
}
