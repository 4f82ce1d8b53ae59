//! Shared by all programs: telemetry, the health listener, shutdown, the system clock and
//! randomness.

mod clock;
mod http;
mod log_writer;
mod metric_help;
mod metrics;
mod otlp;
mod process;
mod program;
mod sf_events;
mod telemetry;
mod time;

pub use clock::{OsEntropy, SystemClock};
pub use http::{
    ActorOf, Check, Checks, ConnectionLimits, HTTP_ADDR, Listener, ListenerConfig, Listeners,
    RequestId, Routes, default_address, raise_nofile,
};
pub use metrics::Metrics;
pub use process::process_report;
pub use program::{Failure, exit_code, on_sighup, parse_or_exit, run_program, run_until_signalled};
pub use sf_events::{
    DEFAULT_CHANNEL, RETENTION, SfEventsArgs, StreamHealth, event_channel, sf_events,
};
pub use telemetry::{LogArgs, init_logs};
pub use time::rfc3339;
