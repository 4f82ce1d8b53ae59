//! Customer API and page, operator console.

mod config;
mod health;
mod ports;

use std::sync::Arc;
use std::time::Duration;

use app::{Program, Salesforce};
use portal_web::Ports;
use runtime::{Failure, Listener, Listeners, Metrics, Routes, SystemClock};
use settings::Given;
use tokio_util::sync::CancellationToken;

pub use config::{Args, Config};
use health::Health;

/// Open answers get so long after the signal.
const DRAIN: Duration = Duration::from_secs(10);

/// Checks the settings and runs until a signal.
///
/// # Errors
/// A setting cannot be used, or something went wrong at run time.
pub fn start(given: &Given<Args>) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let config = Config::of(given)?;
    runtime::run_until_signalled(|shutdown| {
        run_with(config, Metrics::install(), shutdown, |ports| ports)
    })
}

/// Runs until `shutdown`; open event streams end with it. `around` may wrap the ports, to watch or
/// disturb every call and commit.
///
/// # Errors
/// The store, the certificates or the listener's address cannot be used.
pub async fn run_with(
    config: Config,
    metrics: Metrics,
    shutdown: CancellationToken,
    around: impl FnOnce(Ports) -> Ports,
) -> Result<(), Failure> {
    let listeners = Listeners::open(&config.program.listener).await?;
    serve_with(config, listeners, metrics, shutdown, around).await
}

/// As [`run_with`], on a listener that is already bound, for callers that need its port.
///
/// # Errors
/// As [`run_with`].
pub async fn serve(
    config: Config,
    listener: Listener,
    metrics: Metrics,
    shutdown: CancellationToken,
) -> Result<(), Failure> {
    let listeners = Listeners::open_with(listener, &config.program.listener).await?;
    serve_with(config, listeners, metrics, shutdown, |ports| ports).await
}

async fn serve_with(
    config: Config,
    listeners: Listeners,
    metrics: Metrics,
    shutdown: CancellationToken,
    around: impl FnOnce(Ports) -> Ports,
) -> Result<(), Failure> {
    let channel = config.program.channel.clone();
    let enabled = config.program.events_enabled;
    let program = Program::open_on(listeners, "portal", config.program, metrics).await?;
    let salesforce = Salesforce::new(config.crm, &program.reload)?;
    salesforce.watch_names(shutdown.clone());
    let store = Arc::clone(&program.store.ports);
    let ports = ports::ports(&store, &salesforce, channel.clone(), program.reload.clone())?;
    let health = Arc::new(Health {
        store: store.clone(),
        events: store.clone(),
        processes: store,
        salesforce,
        channel,
        enabled,
        clock: Arc::new(SystemClock),
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
