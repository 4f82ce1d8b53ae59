//! Settings and health page of the event stream, shared by the programs that show it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::key::Channel;
pub use domain::ports::BUS_RETENTION as RETENTION;
use domain::ports::Clock;
use domain::time::Timestamp;
use operations::EventViews;
use serde_json::{Value, json};
use settings::Problems;

use crate::rfc3339;

/// The default channel, as deployed by orderbridge's metadata.
pub const DEFAULT_CHANNEL: &str = "/event/OrderProvisionRequested__e";

/// Settings of the event stream.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct SfEventsArgs {
    /// Whether to follow events; if false, the subscriber connects to nothing [default: true]
    #[arg(long, env = "SF_EVENTS_ENABLED")]
    pub sf_events_enabled: Option<String>,
    /// Platform event channel [default: /event/OrderProvisionRequested__e]
    #[arg(long, env = "SF_PROVISION_EVENT_CHANNEL")]
    pub sf_provision_event_channel: Option<String>,
}

impl SfEventsArgs {
    /// Whether events are followed; `None` with a recorded problem.
    pub fn enabled(&self, problems: &mut Problems) -> Option<bool> {
        let given = self.sf_events_enabled.as_deref();
        problems.flag("SF_EVENTS_ENABLED", given, "true")
    }

    /// The channel; `None` with a recorded problem.
    pub fn channel(&self, problems: &mut Problems) -> Option<Channel> {
        problems.parse(
            "SF_PROVISION_EVENT_CHANNEL",
            self.sf_provision_event_channel.as_deref(),
            DEFAULT_CHANNEL,
            "Use a channel such as /event/OrderProvisionRequested__e",
            event_channel,
        )
    }
}

/// Parses a platform event channel.
#[must_use]
pub fn event_channel(text: &str) -> Option<Channel> {
    Channel::new(text).filter(|_| text.starts_with("/event/"))
}

/// Stream health, as known to the program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHealth {
    /// `subscribed`, `connecting`, `standby` or `stopped`.
    pub status: &'static str,
    /// When the last message arrived.
    pub last_message_at: Option<Timestamp>,
    /// The last error, until events flow again.
    pub last_error: Option<String>,
}

/// Answers `GET /health/sf-events`: 200 while events are disabled or flowing, else 503. `health` is
/// `None` while events are disabled. Values that the store does not return are null.
pub async fn sf_events(
    store: &dyn EventViews,
    channel: &Channel,
    health: Option<StreamHealth>,
    clock: &dyn Clock,
) -> Response {
    let enabled = health.is_some();
    let health = health.unwrap_or(StreamHealth {
        status: "disabled",
        ..StreamHealth::default()
    });
    let stream = store.stream(channel).await.unwrap_or_default();
    let dead_letters = store.open_dead_letters().await.unwrap_or_default();
    let committed = stream.cursor.as_ref().map(|cursor| cursor.committed_at);
    let lag = committed.map(|at| clock.now().since(at));
    let body = json!({
        "enabled": enabled,
        "channel": channel.as_str(),
        "status": health.status,
        "cursor": stream.cursor.map(|cursor| json!({
            "replayId": cursor.replay_id.to_hex(),
            "committedAt": rfc3339(cursor.committed_at),
        })),
        "lastEventAt": time(stream.last_event_at),
        "lastMessageAt": time(health.last_message_at),
        "lagSeconds": lag.map(|lag| lag.as_secs()),
        "retentionHeadroomSeconds": lag.map(|lag| RETENTION.saturating_sub(lag).as_secs()),
        "deadLetters": dead_letters,
        "lastError": health.last_error,
    });
    let flowing = matches!(health.status, "disabled" | "subscribed" | "standby");
    let code = if flowing {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, axum::Json(body)).into_response()
}

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::String(rfc3339(at)))
}
