//! Logs.

use std::io::IsTerminal;

use clap::Args;
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
