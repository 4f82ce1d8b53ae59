//! Readiness, and the health of the event stream as stored.

use std::sync::Arc;

use app::Salesforce;
use async_trait::async_trait;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use domain::key::Channel;
use domain::ports::Clock;
use error_chain::chain;
use monitoring::ObservedCondition;
use operations::{ConditionKind, EventViews, StoreHealth};
use runtime::{Check, Checks, StreamHealth};

pub(crate) struct Health {
    pub(crate) store: Arc<dyn StoreHealth>,
    pub(crate) events: Arc<dyn EventViews>,
    pub(crate) salesforce: Salesforce,
    pub(crate) channel: Channel,
    pub(crate) enabled: bool,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Checks for Health {
    async fn look(&self) -> Vec<Check> {
        vec![
            Check::store(&*self.store).await,
            // Without Salesforce the portal still serves what is stored.
            Check::optional("salesforce", self.salesforce.tokens.problem()),
        ]
    }
}

pub(crate) fn routes(health: Arc<Health>) -> Router {
    Router::new().route(
        "/health/sf-events",
        get(async move || health.events().await),
    )
}

impl Health {
    /// The conditions of this process.
    pub(crate) fn conditions(&self) -> Vec<ObservedCondition> {
        let disabled =
            (!self.enabled).then(|| ObservedCondition::bare(ConditionKind::EventsDisabled));
        let disabled = disabled.into_iter();
        disabled.chain(self.salesforce.conditions()).collect()
    }

    async fn events(&self) -> Response {
        let health = match self.enabled {
            true => Some(self.stream().await),
            false => None,
        };
        runtime::sf_events(&*self.events, &self.channel, health, &*self.clock).await
    }

    /// The leader holds a lease and advances the cursor with every message.
    async fn stream(&self) -> StreamHealth {
        let (stream, problem) = match self.events.stream(&self.channel).await {
            Ok(stream) => (stream, None),
            Err(error) => (Default::default(), Some(chain(&error).to_string())),
        };
        let led = stream
            .leader
            .is_some_and(|(_, _, until)| until > self.clock.now());
        StreamHealth {
            status: if led { "subscribed" } else { "stopped" },
            last_message_at: stream.cursor.map(|cursor| cursor.committed_at),
            last_error: problem
                .or_else(|| (!led).then(|| "no subscriber leads the channel".to_owned())),
        }
    }
}
