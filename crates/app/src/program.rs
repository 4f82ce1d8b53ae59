//! A program: its store, probes, metrics, heartbeats and alerts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::settings::{Problems, Reload};
use job_store::{OpenError, Store};
use monitoring::ObservedCondition;
use outbound::Roots;
use runtime::{Checks, Failure, Listeners, Metrics, OsEntropy, Routes, SystemClock};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::Settings;

/// An open store and bound listeners.
pub struct Program {
    role: &'static str,
    settings: Settings,
    /// The store.
    pub store: Store,
    /// What SIGHUP lets the program read again.
    pub reload: Reload,
    _sighup: DropGuard,
    listeners: Listeners,
    address: SocketAddr,
    probes: SocketAddr,
    metrics: Metrics,
}

/// The running probes and alerts of a program.
pub struct Running {
    serving: JoinHandle<()>,
    monitoring: JoinHandle<()>,
    stopped: CancellationToken,
    _sighup: DropGuard,
}

impl Program {
    /// Binds the listeners and opens the store, migrating it if needed.
    ///
    /// # Errors
    /// The store cannot be used, or an address is not available.
    pub async fn open(
        role: &'static str,
        settings: Settings,
        metrics: Metrics,
    ) -> Result<Self, Failure> {
        let listeners = Listeners::open(&settings.listener).await?;
        Self::open_on(listeners, role, settings, metrics).await
    }

    /// As [`open`](Self::open), on listeners that are already bound.
    ///
    /// # Errors
    /// The store cannot be used.
    pub async fn open_on(
        listeners: Listeners,
        role: &'static str,
        settings: Settings,
        metrics: Metrics,
    ) -> Result<Self, Failure> {
        let store = job_store::open(&settings.store, Arc::new(SystemClock))
            .await
            .map_err(not_opened)?;
        let pool = store.clone();
        let reload = Reload::default();
        Ok(Self {
            role,
            _sighup: reload_on_sighup(reload.clone()).map_err(Failure::run)?,
            reload,
            address: listeners.address().map_err(Failure::run)?,
            probes: listeners.probe_address().map_err(Failure::run)?,
            metrics: metrics
                .for_program(role)
                .with_pool(move || pool.connections().into()),
            settings,
            store,
            listeners,
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
    /// Probes answer until [`Running::stop`], unless they share a listener with other routes.
    pub fn start(
        self,
        checks: Arc<dyn Checks>,
        routes: Routes,
        monitoring: monitoring::Ports,
        conditions: impl Fn() -> Vec<ObservedCondition> + Send + Sync + 'static,
        shutdown: &CancellationToken,
    ) -> Running {
        let (role, address, probes) = (self.role, self.address, self.probes);
        tracing::info!(role, %address, %probes, store = %self.settings.store, "{role} started");
        let origins = &self.settings.origins;
        let report = runtime::process_report(role, origins, &SystemClock, &OsEntropy);
        let settings = self.settings.alerts.settings;
        let stopped = CancellationToken::new();
        tokio::spawn(self.metrics.clone().keep_small(stopped.clone()));
        Running {
            serving: tokio::spawn(self.listeners.serve(
                checks,
                self.metrics,
                routes,
                shutdown.clone(),
                stopped.clone(),
            )),
            stopped,
            _sighup: self._sighup,
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
    /// Waits after shutdown for open responses and for leaving the process registry, at most
    /// `limit`: neither may delay the exit.
    pub async fn stop(self, limit: Duration) {
        self.stopped.cancel();
        let tasks = async { tokio::join!(self.serving, self.monitoring) };
        let _ = tokio::time::timeout(limit, tasks).await;
    }
}

fn reload_on_sighup(reload: Reload) -> std::io::Result<DropGuard> {
    runtime::on_sighup(move || {
        let reload = reload.clone();
        // Reading a file from a hanging network mount must not block this thread.
        tokio::task::spawn_blocking(move || {
            for problem in reload.run() {
                tracing::warn!(setting = &*problem.name, %problem, "the old value stays in use");
            }
            tracing::info!("settings read again");
        });
    })
}

/// A path that cannot be opened is a wrong setting; a server that does not answer is not.
fn not_opened(error: OpenError) -> Failure {
    match error.into_problem() {
        Ok(problem) => {
            let mut problems = Problems::new();
            problems.take::<()>(Err(problem));
            Failure::Config(problems)
        }
        Err(error) => Failure::run(error),
    }
}
