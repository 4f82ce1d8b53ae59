//! Customer API and page, operator console.

mod config;
mod health;

use std::sync::Arc;
use std::time::Duration;

use domain::ports::Clock;
use outbound::{ClientOptions, Roots};
use portal_web::Ports;
use runtime::{Failure, Listener, Metrics, OsEntropy, SystemClock};
use salesforce_auth::TokenManager;
use salesforce_rest::RestOrders;
use tokio_util::sync::CancellationToken;

pub use config::{Args, Config};
use health::Health;

/// Open answers get so long after the signal.
const DRAIN: Duration = Duration::from_secs(10);

/// Checks the settings and runs until a signal.
///
/// # Errors
/// A setting cannot be used, or something went wrong at run time.
pub fn start(args: &Args) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let config = args.check()?;
    runtime::run_until_signalled(|shutdown| run(config, Metrics::install(), shutdown))
}

/// Runs until `shutdown`; open event streams end with it.
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
    around: impl FnOnce(Ports) -> Ports,
) -> Result<(), Failure> {
    let listener = Listener::bind(config.http_addr)
        .await
        .map_err(Failure::run)?;
    serve_with(config, listener, metrics, shutdown, around).await
}

/// As [`run`], on a listener that is already bound, for callers that need its port.
///
/// # Errors
/// As [`run`].
pub async fn serve(
    config: Config,
    listener: Listener,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    serve_with(config, listener, metrics, shutdown, |ports| ports).await
}

async fn serve_with(
    config: Config,
    listener: Listener,
    metrics: Metrics,
    shutdown: CancellationToken,
    around: impl FnOnce(Ports) -> Ports,
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
    let address = listener.address().map_err(Failure::run)?;
    let roots = Roots::load(config.auth.ca_file.as_deref()).map_err(Failure::run)?;
    let tokens = TokenManager::new(config.auth, &roots).map_err(Failure::run)?;
    let tokens = Arc::new(tokens);
    let reset = Arc::clone(&tokens);
    let _hangups = runtime::on_sighup(move || reset.reset()).map_err(Failure::run)?;
    let crm = RestOrders::new(config.rest, Arc::clone(&tokens), &roots).map_err(Failure::run)?;
    let crm = Arc::new(crm);
    let options = ClientOptions {
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(10),
        pool_idle: Duration::from_secs(20),
    };
    let ports = Ports {
        customers: Arc::clone(&crm) as _,
        retries: Arc::clone(&crm) as _,
        orders: store.ports.clone(),
        events: store.ports.clone(),
        statistics: store.ports.clone(),
        commands: store.ports.clone(),
        processes: store.ports.clone(),
        alerts: store.ports.clone(),
        clock: Arc::clone(&clock),
        entropy: Arc::new(OsEntropy),
        channel: config.channel.clone(),
        http: outbound::build(&options, &roots).map_err(Failure::run)?,
    };
    let health = Arc::new(Health {
        store: store.ports.clone(),
        events: store.ports.clone(),
        tokens,
        crm,
        channel: config.channel,
        enabled: config.events_enabled,
        clock,
    });
    let routes = portal_web::router(around(ports), config.portal, shutdown.clone())
        .merge(health::routes(Arc::clone(&health)));
    tracing::info!(%address, store = %config.store, "portal started");
    let observing = Arc::clone(&health);
    let watching = tokio::spawn(monitoring::run(
        monitoring::Ports {
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
        },
        config.alerts.settings,
        runtime::process_report("portal", &config.origins, &SystemClock, &OsEntropy),
        move || observing.conditions(),
        shutdown.clone(),
    ));
    let serving = listener.serve(health, metrics, routes, shutdown.clone());
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        ended = &mut serving => return ended.map_err(Failure::run),
        () = shutdown.cancelled() => {}
    }
    // An answer that takes longer must not hold the end up.
    let outcome = async { tokio::join!(serving, watching) };
    let _ = tokio::time::timeout(DRAIN, outcome).await;
    tracing::info!("portal stopped");
    Ok(())
}
