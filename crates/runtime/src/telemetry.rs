//! Logs.

use std::io::IsTerminal;

use clap::{Args, ValueEnum};
use settings::Invalid;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::log_writer::EscapingWriter;
use crate::otlp::{self, CollectorArgs};

/// Settings of logs and traces.
#[derive(Args, Clone, Debug)]
pub struct LogArgs {
    /// How logs are written [default: text on a terminal, else json]
    #[arg(long, env)]
    pub log_format: Option<LogFormat>,
    /// Log filter
    #[arg(long, env, default_value = "info", value_parser = filter)]
    pub rust_log: String,
    #[command(flatten)]
    collector: CollectorArgs,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line of text an event.
    Text,
    /// One JSON object an event.
    Json,
}

fn filter(text: &str) -> Result<String, Invalid> {
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(Invalid::new(
            "Use a filter such as info or worker=debug,info",
        )),
    }
}

/// Libraries whose verbose levels log headers, including tokens; and PostgreSQL's notices, one of
/// which follows when a call is abandoned during its COMMIT (`there is no transaction in progress`).
const CAPPED: [&str; 6] = [
    "hyper=info",
    "h2=info",
    "reqwest=info",
    "rustls=info",
    "hyper_util=info",
    "sqlx::postgres::notice=error",
];

/// Starts logging to standard error and prepares traces. A second call changes nothing.
pub fn init_logs(args: &LogArgs) {
    let json = match args.log_format {
        Some(format) => format == LogFormat::Json,
        None => !std::io::stderr().is_terminal(),
    };
    let filter = EnvFilter::new(&args.rust_log);
    let filter = CAPPED
        .iter()
        .filter_map(|cap| cap.parse().ok())
        .fold(filter, EnvFilter::add_directive);
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(otlp::layer(args.collector.collector()));
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
