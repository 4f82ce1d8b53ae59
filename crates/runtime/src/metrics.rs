//! The process's metrics.

use std::sync::Arc;
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;

use crate::metric_help;

/// Histogram buckets for calls and steps, in seconds.
const CALLS: [f64; 12] = [
    0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 86400.0,
];
/// Histogram buckets from an order's approval to its outcome, in seconds.
const LATENCY: [f64; 14] = [
    1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0, 86400.0,
];

/// How often recorded values are added to their histogram's buckets. Until then each takes up
/// memory of its own.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// The process's metrics.
#[derive(Clone)]
pub struct Metrics {
    handle: Option<PrometheusHandle>,
    process: metrics_process::Collector,
    /// Reads the numbers of idle and busy connections of the store's pool.
    pool: Option<Arc<dyn Fn() -> (u32, u32) + Send + Sync>>,
}

impl Metrics {
    /// Starts collecting. Only the first call in a process collects.
    #[must_use]
    pub fn install() -> Self {
        let handle = PrometheusBuilder::new()
            .set_buckets(&CALLS)
            .and_then(|builder| {
                let latency = Matcher::Full("orderbridge_provisioning_latency_seconds".to_owned());
                builder.set_buckets_for_metric(latency, &LATENCY)
            })
            .ok()
            .and_then(|builder| builder.install_recorder().ok());
        let process = metrics_process::Collector::default();
        process.describe();
        metric_help::describe();
        Self {
            handle,
            process,
            pool: None,
        }
    }

    /// Adds the store's pool connections, idle and busy, read at each scrape.
    #[must_use]
    pub fn with_pool(mut self, read: impl Fn() -> (u32, u32) + Send + Sync + 'static) -> Self {
        self.pool = Some(Arc::new(read));
        self
    }

    /// Says which program runs in this process.
    #[must_use]
    pub fn for_program(self, role: &'static str) -> Self {
        let labels = [("program", role), ("version", env!("CARGO_PKG_VERSION"))];
        ::metrics::gauge!("orderbridge_build_info", &labels).set(1.0);
        self
    }

    /// Keeps histograms from growing while nobody scrapes them, until `stopped`.
    pub async fn keep_small(self, stopped: CancellationToken) {
        let Some(handle) = self.handle else {
            return;
        };
        let interval = || tokio::time::sleep(UPKEEP_INTERVAL);
        while stopped.run_until_cancelled(interval()).await.is_some() {
            handle.run_upkeep();
        }
    }

    /// The metrics in Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        if let Some(read) = &self.pool {
            let (idle, busy) = read();
            for (state, count) in [("idle", idle), ("busy", busy)] {
                ::metrics::gauge!("orderbridge_db_pool_connections", "state" => state)
                    .set(f64::from(count));
            }
        }
        self.process.collect();
        self.handle
            .as_ref()
            .map(|handle| {
                handle.run_upkeep();
                handle.render()
            })
            .unwrap_or_default()
    }
}
