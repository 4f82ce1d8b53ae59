//! What every program needs and none should own: telemetry, the health listener, shutdown,
//! the real clock and dice.

mod clock;
mod http;
mod otlp;
mod process;
mod program;
mod sf_events;
mod telemetry;
mod time;

pub use clock::{OsEntropy, SystemClock};
pub use http::{Check, Checks, Listener, ListenerArgs};
pub use process::process_report;
pub use program::{Failure, exit_code, on_sighup, parse_or_exit, run_until_signalled};
pub use sf_events::{
    DEFAULT_CHANNEL, RETENTION, SfEventsArgs, StreamHealth, event_channel, sf_events,
};
pub use telemetry::{LogArgs, Metrics, init_logs};
pub use time::rfc3339;
