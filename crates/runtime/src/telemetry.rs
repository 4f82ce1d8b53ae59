//! Logs and metrics.

use std::io::IsTerminal;
use std::sync::Arc;

use clap::Args;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use settings::Problems;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::log_writer::EscapingWriter;
use crate::otlp::{self, Collector};

/// Settings of logs and traces.
#[derive(Args, Clone, Debug, Default)]
pub struct LogArgs {
    /// text or json [default: text on a terminal, else json]
    #[arg(long, env = "LOG_FORMAT")]
    pub log_format: Option<String>,
    /// Log filter [default: info]
    #[arg(long, env = "RUST_LOG")]
    pub rust_log: Option<String>,
    /// OTLP endpoint for traces [default: none]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// grpc or http/protobuf [default: by the endpoint's port, else grpc]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_PROTOCOL")]
    pub otel_exporter_otlp_protocol: Option<String>,
}

/// Libraries whose verbose levels log headers, including tokens.
const CAPPED: [&str; 5] = [
    "hyper=info",
    "h2=info",
    "reqwest=info",
    "rustls=info",
    "hyper_util=info",
];

/// Starts logging to standard error and prepares traces. A second call changes nothing.
pub fn init_logs(args: &LogArgs, problems: &mut Problems) {
    let json = problems.parse(
        "LOG_FORMAT",
        args.log_format.as_deref(),
        if std::io::stderr().is_terminal() {
            "text"
        } else {
            "json"
        },
        "Use text or json",
        |text| match text {
            "text" => Some(false),
            "json" => Some(true),
            _ => None,
        },
    );
    let filter = problems.parse(
        "RUST_LOG",
        args.rust_log.as_deref(),
        "info",
        "Use a filter such as info or worker=debug,info",
        |text| EnvFilter::try_new(text).ok(),
    );
    let collector = Collector::of(
        args.otel_exporter_otlp_endpoint.as_deref(),
        args.otel_exporter_otlp_protocol.as_deref(),
        problems,
    );
    let (Some(json), Some(filter)) = (json, filter) else {
        return;
    };
    let filter = CAPPED
        .iter()
        .filter_map(|cap| cap.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(otlp::layer(collector));
    let layer = tracing_subscriber::fmt::layer().with_writer(|| EscapingWriter(std::io::stderr()));
    // An error only means that logging was already started.
    let _ = if json {
        registry
            .with(layer.json().flatten_event(true).with_span_list(false))
            .try_init()
    } else {
        registry.with(layer).try_init()
    };
}

/// Histogram buckets for calls and steps, in seconds.
const CALLS: [f64; 12] = [
    0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 1800.0, 86400.0,
];
/// Histogram buckets from an order's approval to its outcome, in seconds.
const LATENCY: [f64; 14] = [
    1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21600.0, 86400.0,
];

/// The process's metrics.
#[derive(Clone)]
pub struct Metrics {
    handle: Option<PrometheusHandle>,
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
        metrics::gauge!("orderbridge_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Self { handle, pool: None }
    }

    /// Adds the store's pool connections, idle and busy, read at each scrape.
    #[must_use]
    pub fn with_pool(mut self, read: impl Fn() -> (u32, u32) + Send + Sync + 'static) -> Self {
        self.pool = Some(Arc::new(read));
        self
    }

    /// The metrics in Prometheus text format.
    #[must_use]
    pub fn render(&self) -> String {
        if let Some(read) = &self.pool {
            let (idle, busy) = read();
            for (state, count) in [("idle", idle), ("busy", busy)] {
                metrics::gauge!("orderbridge_db_pool_connections", "state" => state)
                    .set(f64::from(count));
            }
        }
        self.handle
            .as_ref()
            .map(|handle| {
                handle.run_upkeep();
                handle.render()
            })
            .unwrap_or_default()
    }
}
