//! Which event stream it is, and its health page: the same in every program that shows it.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::key::Channel;
pub use domain::ports::BUS_RETENTION as RETENTION;
use domain::ports::{Clock, JobReader};
use domain::time::Timestamp;
use serde_json::{Value, json};
use settings::Problems;

use crate::rfc3339;

/// The channel of an org as the bridge's own metadata deploys it.
pub const DEFAULT_CHANNEL: &str = "/event/OrderProvisionRequested__e";

/// Which stream it is, and whether it is followed at all.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct SfEventsArgs {
    /// false: events are disabled, and the subscriber connects to nothing [default: true]
    #[arg(long, env = "SF_EVENTS_ENABLED")]
    pub sf_events_enabled: Option<String>,
    /// Platform event channel [default: /event/OrderProvisionRequested__e]
    #[arg(long, env = "SF_PROVISION_EVENT_CHANNEL")]
    pub sf_provision_event_channel: Option<String>,
}

impl SfEventsArgs {
    /// Whether events are followed at all, or a noted problem.
    pub fn enabled(&self, problems: &mut Problems) -> Option<bool> {
        let given = self.sf_events_enabled.as_deref();
        problems.flag("SF_EVENTS_ENABLED", given, "true")
    }

    /// The channel, or a noted problem.
    pub fn channel(&self, problems: &mut Problems) -> Option<Channel> {
        problems.parse(
            "SF_PROVISION_EVENT_CHANNEL",
            self.sf_provision_event_channel.as_deref(),
            DEFAULT_CHANNEL,
            "Give a channel such as /event/OrderProvisionRequested__e",
            event_channel,
        )
    }
}

/// The channel that a text names, if it is one of platform events.
#[must_use]
pub fn event_channel(text: &str) -> Option<Channel> {
    Channel::new(text).filter(|_| text.starts_with("/event/"))
}

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
