//! Claims jobs, provisions them in WHMCS, reports to Salesforce.

mod checks;
mod config;
mod gauges;
mod resume;

use std::sync::Arc;
use std::time::Duration;

use app::{Program, Salesforce};
use outbound::Roots;
use provisioning::{Ports, Worker};
use runtime::{Failure, Metrics, OsEntropy, Routes, SystemClock};
use settings::Given;
use tokio_util::sync::CancellationToken;
use whmcs::{Api, Whmcs};

use checks::WorkerChecks;
pub use config::{Args, Config};

/// Checks the settings and runs until a signal.
///
/// # Errors
/// A setting cannot be used, or something went wrong at run time.
pub fn start(given: &Given<Args>) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let config = Config::of(given)?;
    runtime::run_until_signalled(|shutdown| run(config, Metrics::install(), shutdown))
}

/// Runs until `shutdown`, then drains.
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
    let program = Program::open("worker", config.program, metrics).await?;
    let systems = config.systems;
    let salesforce = Salesforce::new(systems.crm, &program.reload)?;
    salesforce.watch_names(shutdown.clone());
    systems.whmcs.add_to(&program.reload);
    let whmcs_roots = Roots::load(systems.whmcs.ca_file.as_deref()).map_err(Failure::run)?;
    let api = Api::new(systems.whmcs, &whmcs_roots).map_err(Failure::run)?;
    let whmcs = Arc::new(Whmcs::new(api, systems.whmcs_options));
    let reachability = whmcs.reachability();
    let store = Arc::clone(&program.store.ports);
    let ports = Ports {
        queue: store.clone(),
        crm: Arc::clone(&salesforce.crm) as _,
        reads: Arc::clone(&whmcs) as _,
        provisioner: whmcs,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
    };
    let worker = Worker::new(around(ports), config.provisioning);
    tokio::spawn(gauges::keep(
        store.clone(),
        worker.process(),
        shutdown.clone(),
    ));
    tokio::spawn(resume::probe_on_resume(
        store.clone(),
        worker.process(),
        shutdown.clone(),
    ));
    let checks = Arc::new(WorkerChecks {
        store,
        salesforce,
        whmcs: reachability,
        process: worker.process(),
    });
    let observing = Arc::clone(&checks);
    let conditions = move || observing.conditions();
    let monitoring = program.monitoring_ports()?;
    let running = program.start(checks, Routes::default(), monitoring, conditions, &shutdown);
    worker.run(shutdown).await;
    running.stop(Duration::from_secs(2)).await;
    tracing::info!("worker stopped");
    Ok(())
}
