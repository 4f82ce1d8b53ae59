//! The health page of the event stream, the same on every program that has one.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::key::Channel;
use domain::ports::{Clock, JobReader};
use domain::time::Timestamp;
use serde_json::{Value, json};

use crate::rfc3339;

/// Salesforce keeps events so long.
pub const RETENTION: Duration = Duration::from_secs(72 * 3600);

/// How the stream is doing, as far as the program can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamHealth {
    /// `subscribed`, `connecting`, `standby` or `stopped`.
    pub status: &'static str,
    /// When the stream last said anything.
    pub last_message_at: Option<Timestamp>,
    /// The last error, until events flow again.
    pub last_error: Option<String>,
}

/// Answers `GET /health/sf-events`: 200 while events are disabled or flowing, else 503.
/// `health` is `None` while events are disabled. What the store does not tell is null.
pub async fn sf_events(
    store: &dyn JobReader,
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
    let tally = store.tally().await.unwrap_or_default();
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
        "deadLetters": tally.open_dead_letters,
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
