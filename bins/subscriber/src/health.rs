//! The health page of the event stream.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use domain::key::Channel;
use domain::ports::{Clock, JobReader};
use domain::time::Timestamp;
use intake::{Health, Status};
use runtime::{Check, Checks};
use salesforce_auth::TokenManager;
use serde_json::{Value, json};

/// Salesforce keeps events so long.
pub(crate) const RETENTION: Duration = Duration::from_secs(72 * 3600);

/// What the health page is made from.
pub(crate) struct HealthPage {
    pub(crate) store: Arc<dyn JobReader>,
    pub(crate) channel: Channel,
    /// `None` while events are disabled.
    pub(crate) health: Option<Arc<Health>>,
    /// `None` while events are disabled.
    pub(crate) tokens: Option<Arc<TokenManager>>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Checks for HealthPage {
    async fn look(&self) -> Vec<Check> {
        let store = self.store.ping().await.err().map(|error| error.to_string());
        let stream = self
            .health
            .as_ref()
            .map(|health| health.view())
            .and_then(|view| {
                (view.status == Status::Stopped).then(|| view.last_error.unwrap_or_default())
            });
        vec![
            Check {
                name: "store",
                problem: store,
                required: true,
            },
            Check {
                name: "salesforce",
                problem: self.tokens.as_ref().and_then(|tokens| tokens.problem()),
                required: true,
            },
            Check {
                name: "stream",
                problem: stream,
                required: true,
            },
        ]
    }
}

pub(crate) fn routes(page: Arc<HealthPage>) -> Router {
    Router::new().route("/health/sf-events", get(async move || page.events().await))
}

impl HealthPage {
    async fn events(&self) -> Response {
        let view = self.health.as_ref().map(|health| health.view());
        let status = view.as_ref().map_or("disabled", |view| view.status.name());
        let flowing = matches!(status, "disabled" | "subscribed" | "standby");
        let (stream, tally) = (
            self.store.stream(&self.channel).await,
            self.store.tally().await,
        );
        let stream = stream.unwrap_or_default();
        let now = self.clock.now();
        let committed = stream.cursor.as_ref().map(|cursor| cursor.committed_at);
        let lag = committed.map(|at| now.since(at));
        let body = json!({
            "enabled": view.is_some(),
            "channel": self.channel.as_str(),
            "status": status,
            "cursor": stream.cursor.map(|cursor| json!({
                "replayId": cursor.replay_id.to_hex(),
                "committedAt": rfc3339(cursor.committed_at),
            })),
            "lastEventAt": time(stream.last_event_at),
            "lastMessageAt": time(view.as_ref().and_then(|view| view.last_message_at)),
            "lagSeconds": lag.map(|lag| lag.as_secs()),
            "retentionHeadroomSeconds": lag.map(|lag| RETENTION.saturating_sub(lag).as_secs()),
            "deadLetters": tally.map(|tally| tally.open_dead_letters).unwrap_or_default(),
            "lastError": view.and_then(|view| view.last_error),
        });
        let code = if flowing {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        (code, axum::Json(body)).into_response()
    }
}

fn time(at: Option<Timestamp>) -> Value {
    at.map_or(Value::Null, |at| Value::String(rfc3339(at)))
}

fn rfc3339(at: Timestamp) -> String {
    runtime::rfc3339(at)
}
