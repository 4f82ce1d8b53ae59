//! A program: its store, probes, metrics, heartbeats and alerts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use job_store::{Store, StoreConfig};
use monitoring::ObservedCondition;
use outbound::Roots;
use runtime::{Checks, Failure, Listener, Metrics, OsEntropy, SystemClock};
use settings::Origins;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Settings that every program has.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store.
    pub store: StoreConfig,
    /// Alert rules and webhook.
    pub alerts: monitoring::Config,
    /// Every setting as it may be shown.
    pub origins: Origins,
}

/// An open store and a bound listener.
pub struct Program {
    role: &'static str,
    settings: Settings,
    /// The store.
    pub store: Store,
    listener: Listener,
    address: SocketAddr,
    metrics: Metrics,
}

/// The running probes and alerts of a program.
pub struct Running {
    serving: JoinHandle<std::io::Result<()>>,
    monitoring: JoinHandle<()>,
}

impl Program {
    /// Opens the store, migrating it if needed.
    ///
    /// # Errors
    /// The store or the listener cannot be used.
    pub async fn open(
        role: &'static str,
        settings: Settings,
        listener: Listener,
        metrics: Metrics,
    ) -> Result<Self, Failure> {
        let store = job_store::open(&settings.store, Arc::new(SystemClock))
            .await
            .map_err(Failure::run)?;
        let pool = store.clone();
        Ok(Self {
            role,
            address: listener.address().map_err(Failure::run)?,
            metrics: metrics.with_pool(move || pool.connections().into()),
            settings,
            store,
            listener,
        })
    }

    /// The ports of heartbeats and alerts.
    ///
    /// # Errors
    /// The webhook's client cannot be built.
    pub fn monitoring_ports(&self) -> Result<monitoring::Ports, Failure> {
        let store = || Arc::clone(&self.store.ports);
        let webhook = match &self.settings.alerts.webhook {
            Some(url) => {
                let roots = Roots::load(None).map_err(Failure::run)?;
                let webhook = outbound::webhook(url.expose(), &roots).map_err(Failure::run)?;
                Some(Arc::new(webhook) as Arc<dyn monitoring::Webhook>)
            }
            None => None,
        };
        Ok(monitoring::Ports {
            election: store(),
            orders: store(),
            events: store(),
            statistics: store(),
            commands: store(),
            processes: store(),
            alerts: store(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            post: webhook,
        })
    }

    /// Serves probes, metrics and these routes, and takes part in monitoring, until `shutdown`.
    pub fn start(
        self,
        checks: Arc<dyn Checks>,
        routes: Router,
        monitoring: monitoring::Ports,
        conditions: impl Fn() -> Vec<ObservedCondition> + Send + Sync + 'static,
        shutdown: &CancellationToken,
    ) -> Running {
        let (role, address) = (self.role, self.address);
        tracing::info!(role, %address, store = %self.settings.store, "{role} started");
        let origins = &self.settings.origins;
        let report = runtime::process_report(role, origins, &SystemClock, &OsEntropy);
        let settings = self.settings.alerts.settings;
        Running {
            serving: tokio::spawn(self.listener.serve(
                checks,
                self.metrics,
                routes,
                shutdown.clone(),
            )),
            monitoring: tokio::spawn(monitoring::run(
                monitoring,
                settings,
                report,
                conditions,
                shutdown.clone(),
            )),
        }
    }
}

impl Running {
    /// Returns when the listener fails; never returns while it serves.
    ///
    /// # Errors
    /// The listener failed.
    pub async fn failed(&mut self) -> Result<(), Failure> {
        match (&mut self.serving).await {
            Ok(served) => served.map_err(Failure::run),
            Err(panicked) => Err(Failure::run(panicked)),
        }
    }

    /// Waits after shutdown for open responses and for leaving the process registry, at most
    /// `limit`: neither may delay the exit.
    pub async fn stop(self, limit: Duration) {
        let tasks = async { tokio::join!(self.serving, self.monitoring) };
        let _ = tokio::time::timeout(limit, tasks).await;
    }
}
