//! Follows the Salesforce channel and turns every event into a job.

mod config;
mod follow;
mod gauges;
mod health;

use std::sync::Arc;

use domain::ports::Clock;
use outbound::Roots;
use runtime::{Failure, Listener, Metrics, OsEntropy, SystemClock};
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

/// Wrappers of the ports, to observe or disturb calls and commits.
pub struct WrapPorts {
    /// Wraps the ports of intake.
    pub intake: Box<dyn FnOnce(intake::Ports) -> intake::Ports + Send>,
    /// Wraps the ports of alerting.
    pub monitoring: Box<dyn FnOnce(monitoring::Ports) -> monitoring::Ports + Send>,
}

impl Default for WrapPorts {
    fn default() -> Self {
        Self {
            intake: Box::new(|ports| ports),
            monitoring: Box::new(|ports| ports),
        }
    }
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
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = job_store::open(&config.store, Arc::clone(&clock))
        .await
        .map_err(Failure::run)?;
    let post = config.alerts.webhook.as_ref().map(|url| {
        let roots = Roots::load(None).map_err(Failure::run)?;
        let post = outbound::webhook(url.expose(), &roots).map_err(Failure::run)?;
        Ok::<_, Failure>(Arc::new(post) as Arc<dyn monitoring::Webhook>)
    });
    let pool = store.clone();
    let metrics = metrics.with_pool(move || pool.connections().into());
    let listener = Listener::bind(config.http_addr)
        .await
        .map_err(Failure::run)?;
    let address = listener.address().map_err(Failure::run)?;
    let follower = match &config.salesforce {
        Some(salesforce) => Some(Follower::new(
            salesforce,
            config.intake.clone(),
            store.ports.clone(),
            Arc::clone(&clock),
            wrap.intake,
        )?),
        None => None,
    };
    let tokens = follower
        .as_ref()
        .map(|follower| Arc::clone(&follower.tokens));
    let reset = tokens.clone();
    let _hangups = runtime::on_sighup(move || {
        if let Some(tokens) = &reset {
            tokens.reset();
        }
    })
    .map_err(Failure::run)?;
    let page = Arc::new(HealthPage {
        tokens,
        store: store.ports.clone(),
        events: store.ports.clone(),
        channel: config.intake.channel.clone(),
        health: follower.as_ref().map(|follower| follower.intake.health()),
        crm: follower.as_ref().map(|follower| Arc::clone(&follower.crm)),
        clock,
    });
    tracing::info!(%address, store = %config.store, enabled = follower.is_some(), "subscriber started");
    tokio::spawn(gauges::keep(Arc::clone(&page), shutdown.clone()));
    let observing = Arc::clone(&page);
    let watching = tokio::spawn(monitoring::run(
        (wrap.monitoring)(monitoring::Ports {
            election: store.ports.clone(),
            orders: store.ports.clone(),
            events: store.ports.clone(),
            statistics: store.ports.clone(),
            commands: store.ports.clone(),
            processes: store.ports.clone(),
            alerts: store.ports,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            post: post.transpose()?,
        }),
        config.alerts.settings,
        runtime::process_report("subscriber", &config.origins, &SystemClock, &OsEntropy),
        move || observing.conditions(),
        shutdown.clone(),
    ));
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
    // Neither open connections nor leaving the process registry may delay the exit.
    let outcome = async { tokio::join!(serving, watching) };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), outcome).await;
    tracing::info!("subscriber stopped");
    Ok(())
}
