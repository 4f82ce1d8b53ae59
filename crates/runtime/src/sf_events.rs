//! Settings and health page of the event stream, shared by the programs that show it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use clap::ArgAction;
use domain::key::Channel;
pub use domain::ports::BUS_RETENTION as RETENTION;
use domain::ports::Clock;
use domain::time::Timestamp;
use operations::EventViews;
use serde_json::{Value, json};
use settings::{Invalid, flag};

use crate::rfc3339;

/// The default channel, as deployed by orderbridge's metadata.
pub const DEFAULT_CHANNEL: &str = "/event/OrderProvisionRequested__e";

/// Settings of the event stream.
#[derive(clap::Args, Clone, Debug)]
pub struct SfEventsArgs {
    /// Whether to follow events; if false, the subscriber connects to nothing
    #[arg(long, env, default_value = "true", value_parser = flag, action = ArgAction::Set)]
    pub sf_events_enabled: bool,
    /// Platform event channel
    #[arg(long, env, default_value = DEFAULT_CHANNEL, value_parser = event_channel)]
    pub sf_provision_event_channel: Channel,
}

/// Parses a platform event channel.
///
/// # Errors
/// Not such a channel.
pub fn event_channel(text: &str) -> Result<Channel, Invalid> {
    let channel = Channel::new(text.trim()).filter(|_| text.trim().starts_with("/event/"));
    channel.ok_or_else(|| Invalid::new(format!("Use a channel such as {DEFAULT_CHANNEL}")))
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
