//! The health page of the event stream.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use domain::key::Channel;
use domain::ports::{Clock, JobReader, Sign};
use intake::{Health, Status};
use runtime::{Check, Checks, StreamHealth};
use salesforce_auth::{LoginStatus, TokenManager};
use salesforce_rest::RestOrders;
use watch::Noticed;

/// What the health page is made from.
pub(crate) struct HealthPage {
    pub(crate) store: Arc<dyn JobReader>,
    pub(crate) channel: Channel,
    /// `None` while events are disabled.
    pub(crate) health: Option<Arc<Health>>,
    /// `None` while events are disabled.
    pub(crate) tokens: Option<Arc<TokenManager>>,
    /// `None` while events are disabled.
    pub(crate) crm: Option<Arc<RestOrders>>,
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
                self.tokens.as_ref().and_then(|tokens| tokens.problem()),
            ),
            Check::required("stream", stream),
        ]
    }
}

pub(crate) fn routes(page: Arc<HealthPage>) -> Router {
    Router::new().route("/health/sf-events", get(async move || page.events().await))
}

impl HealthPage {
    /// What this process alone knows.
    pub(crate) fn notice(&self) -> Vec<Noticed> {
        let Some(view) = self.health.as_ref().map(|health| health.view()) else {
            return vec![Noticed::bare(Sign::EventsDisabled)];
        };
        let sign = match view.status {
            Status::Subscribed => Sign::Subscribed,
            Status::Connecting => Sign::Connecting,
            Status::Standby => Sign::Standby,
            Status::Stopped => Sign::Stopped,
        };
        let mut noticed = vec![Noticed::words(sign, view.last_error.unwrap_or_default())];
        if view.leads {
            noticed.push(Noticed::bare(Sign::Leads));
        }
        let status = self.tokens.as_ref().map(|tokens| tokens.status());
        if let Some(LoginStatus::Failed(error)) = status
            && error.needs_a_person()
        {
            noticed.push(Noticed::words(Sign::SalesforceRefuses, error.to_string()));
        }
        if let Some(words) = self.crm.as_ref().and_then(|crm| crm.scarcity()) {
            noticed.push(Noticed::words(Sign::ApiScarce, words));
        }
        noticed
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
        runtime::sf_events(&*self.store, &self.channel, health, &*self.clock).await
    }
}
