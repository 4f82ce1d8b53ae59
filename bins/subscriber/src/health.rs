//! The health page of the event stream.

use std::sync::Arc;

use app::Salesforce;
use async_trait::async_trait;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use domain::key::Channel;
use domain::ports::Clock;
use intake::{Health, Status, View};
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
        let stream = self.health.as_ref().map(|health| health.view());
        let clients = self.clients.as_ref();
        vec![
            Check::store(&*self.store).await,
            Check::optional("salesforce", clients.and_then(|clients| clients.problem())),
            Check::optional(
                "salesforce names",
                clients.and_then(|clients| clients.names_problem()),
            ),
            Check::optional("stream", stream.and_then(stream_problem)),
        ]
    }
}

/// Why events do not flow; `None` also while another subscriber leads.
fn stream_problem(view: View) -> Option<String> {
    match view.status {
        Status::Subscribed | Status::Standby => None,
        Status::Connecting | Status::Stopped => {
            let status = view.status.name();
            Some(view.last_error.unwrap_or_else(|| status.to_owned()))
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_stream_is_a_problem_and_a_standby_is_not() {
        let view = |status, error: Option<&str>| View {
            status,
            last_error: error.map(str::to_owned),
            ..View::default()
        };
        assert_eq!(stream_problem(view(Status::Subscribed, None)), None);
        assert_eq!(stream_problem(view(Status::Standby, Some("old"))), None);
        for status in [Status::Connecting, Status::Stopped] {
            let problem = stream_problem(view(status, Some("connection refused")));
            assert_eq!(problem.as_deref(), Some("connection refused"));
        }
    }
}
