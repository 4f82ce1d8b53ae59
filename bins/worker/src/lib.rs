//! Claims jobs, provisions them in WHMCS, reports to Salesforce.

mod checks;
mod config;
mod gauges;
mod resume;

use std::sync::Arc;

use outbound::Roots;
use provisioning::{Ports, Worker};
use runtime::{Failure, Listener, Metrics, OsEntropy, SystemClock};
use salesforce_auth::TokenManager;
use salesforce_rest::RestOrders;
use tokio_util::sync::CancellationToken;
use whmcs::{Api, Whmcs};

use checks::WorkerChecks;
pub use config::{Args, Config};

/// Checks the settings and runs until a signal.
///
/// # Errors
/// A setting cannot be used, or something went wrong at run time.
pub fn start(args: &Args) -> Result<(), Failure> {
    outbound::install_crypto_provider();
    let config = args.check()?;
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
    let store = job_store::open(&config.store, Arc::new(SystemClock))
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
    let salesforce_roots = Roots::load(config.auth.ca_file.as_deref()).map_err(Failure::run)?;
    let whmcs_roots = Roots::load(config.whmcs.ca_file.as_deref()).map_err(Failure::run)?;
    let tokens = TokenManager::new(config.auth, &salesforce_roots).map_err(Failure::run)?;
    let tokens = Arc::new(tokens);
    let reset = Arc::clone(&tokens);
    let _hangups = runtime::on_sighup(move || reset.reset()).map_err(Failure::run)?;
    let crm = RestOrders::new(config.rest, Arc::clone(&tokens), &salesforce_roots)
        .map_err(Failure::run)?;
    let crm = Arc::new(crm);
    let call_timeout = config.whmcs.timeout;
    let api = Api::new(config.whmcs, &whmcs_roots).map_err(Failure::run)?;
    let whmcs = Arc::new(Whmcs::new(api, config.whmcs_options));
    let ports = Ports {
        queue: store.ports.clone(),
        crm: Arc::clone(&crm) as _,
        reads: Arc::clone(&whmcs) as _,
        provisioner: whmcs,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
    };
    let provisioning = provisioning::Settings {
        call_timeout,
        ..config.provisioning
    };
    let worker = Worker::new(around(ports), provisioning);
    tracing::info!(%address, store = %config.store, "worker started");
    tokio::spawn(gauges::keep(
        store.ports.clone(),
        worker.process(),
        shutdown.clone(),
    ));
    tokio::spawn(resume::probe_on_resume(
        store.ports.clone(),
        worker.process(),
        shutdown.clone(),
    ));
    let checks = Arc::new(WorkerChecks {
        store: store.ports.clone(),
        tokens,
        process: worker.process(),
        crm,
    });
    let observing = Arc::clone(&checks);
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
        runtime::process_report("worker", &config.origins, &SystemClock, &OsEntropy),
        move || observing.conditions(),
        shutdown.clone(),
    ));
    let serving =
        tokio::spawn(listener.serve(checks, metrics, axum::Router::new(), shutdown.clone()));
    worker.run(shutdown).await;
    // Neither open connections nor leaving the process registry may delay the exit.
    let outcome = async { tokio::join!(serving, watching) };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), outcome).await;
    tracing::info!("worker stopped");
    Ok(())
}
