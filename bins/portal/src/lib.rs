//! Customer API and page, operator console.

mod config;
mod health;

use std::sync::Arc;
use std::time::Duration;

use app::{Program, Salesforce};
use domain::ports::Clock;
use outbound::ClientOptions;
use portal_web::Ports;
use runtime::{Failure, Listener, Listeners, Metrics, OsEntropy, Routes, SystemClock};
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
    let listeners = Listeners::open(&config.listener).await?;
    serve_with(config, listeners, metrics, shutdown, around).await
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
    let listeners = Listeners::open_with(listener, &config.listener).await?;
    serve_with(config, listeners, metrics, shutdown, |ports| ports).await
}

async fn serve_with(
    config: Config,
    listeners: Listeners,
    metrics: Metrics,
    shutdown: CancellationToken,
    around: impl FnOnce(Ports) -> Ports,
) -> Result<(), Failure> {
    let settings = app::Settings {
        store: config.store,
        alerts: config.alerts,
        origins: config.origins,
    };
    let program = Program::open("portal", settings, listeners, metrics).await?;
    let salesforce = Salesforce::new(config.auth, config.rest)?;
    let store = Arc::clone(&program.store.ports);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let options = ClientOptions {
        connect_timeout: Duration::from_secs(5),
        timeout: Duration::from_secs(10),
        pool_idle: Duration::from_secs(20),
    };
    let ports = Ports {
        customers: Arc::clone(&salesforce.crm) as _,
        allowance: Arc::clone(&salesforce.crm) as _,
        retries: Arc::clone(&salesforce.crm) as _,
        orders: store.clone(),
        events: store.clone(),
        statistics: store.clone(),
        commands: store.clone(),
        sessions: store.clone(),
        processes: store.clone(),
        alerts: store.clone(),
        clock: Arc::clone(&clock),
        entropy: Arc::new(OsEntropy),
        channel: config.channel.clone(),
        http: outbound::build(&options, &salesforce.roots).map_err(Failure::run)?,
    };
    let health = Arc::new(Health {
        store: store.clone(),
        events: store.clone(),
        processes: store,
        salesforce,
        channel: config.channel,
        enabled: config.events_enabled,
        clock,
    });
    let routes = Routes {
        main: portal_web::router(around(ports), config.portal, shutdown.clone()),
        both: health::routes(Arc::clone(&health)),
        actor: Some(portal_web::actor),
        ..Routes::default()
    };
    let observing = Arc::clone(&health);
    let conditions = move || observing.conditions();
    let monitoring = program.monitoring_ports()?;
    let running = program.start(health, routes, monitoring, conditions, &shutdown);
    shutdown.cancelled().await;
    running.stop(DRAIN).await;
    tracing::info!("portal stopped");
    Ok(())
}
