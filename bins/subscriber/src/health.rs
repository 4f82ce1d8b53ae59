//! The health page of the event stream.

use std::sync::Arc;

use app::Salesforce;
use async_trait::async_trait;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use domain::key::Channel;
use domain::ports::Clock;
use intake::{Health, Status};
use monitoring::ObservedCondition;
use operations::{ConditionKind, EventViews, StoreHealth};
use runtime::{Check, Checks, StreamHealth};

/// What the health page reads.
pub(crate) struct HealthPage {
    pub(crate) store: Arc<dyn StoreHealth>,
    pub(crate) events: Arc<dyn EventViews>,
    pub(crate) channel: Channel,
    /// `None` while events are disabled.
    pub(crate) health: Option<Arc<Health>>,
    /// `None` while events are disabled.
    pub(crate) clients: Option<Arc<Salesforce>>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Checks for HealthPage {
    async fn look(&self) -> Vec<Check> {
        let stream = self
            .health
            .as_ref()
            .map(|health| health.view())
            .and_then(|view| {
                (view.status == Status::Stopped).then(|| view.last_error.unwrap_or_default())
            });
        vec![
            Check::store(&*self.store).await,
            Check::required(
                "salesforce",
                (self.clients.as_ref()).and_then(|clients| clients.tokens.problem()),
            ),
            Check::required("stream", stream),
        ]
    }
}

pub(crate) fn routes(page: Arc<HealthPage>) -> Router {
    Router::new().route("/health/sf-events", get(async move || page.events().await))
}

impl HealthPage {
    /// The conditions of this process.
    pub(crate) fn conditions(&self) -> Vec<ObservedCondition> {
        let Some(view) = self.health.as_ref().map(|health| health.view()) else {
            return vec![ObservedCondition::bare(ConditionKind::EventsDisabled)];
        };
        let kind = match view.status {
            Status::Subscribed => ConditionKind::Subscribed,
            Status::Connecting => ConditionKind::Connecting,
            Status::Standby => ConditionKind::Standby,
            Status::Stopped => ConditionKind::Stopped,
        };
        let mut conditions = vec![ObservedCondition::words(
            kind,
            view.last_error.unwrap_or_default(),
        )];
        if view.leads {
            conditions.push(ObservedCondition::bare(ConditionKind::Leads));
        }
        conditions.extend(self.clients.iter().flat_map(|clients| clients.conditions()));
        conditions
    }

    async fn events(&self) -> Response {
        let health = self.health.as_ref().map(|health| {
            let view = health.view();
            StreamHealth {
                status: view.status.name(),
                last_message_at: view.last_message_at,
                last_error: view.last_error,
            }
        });
        runtime::sf_events(&*self.events, &self.channel, health, &*self.clock).await
    }
}
