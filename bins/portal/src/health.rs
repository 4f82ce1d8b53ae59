//! Readiness, and the health of the event stream as stored.

use std::sync::Arc;
use std::time::Duration;

use app::Salesforce;
use async_trait::async_trait;
use axum::Router;
use axum::response::Response;
use axum::routing::get;
use domain::key::Channel;
use domain::ports::{Clock, StoreError};
use domain::time::Timestamp;
use error_chain::chain;
use monitoring::ObservedCondition;
use operations::{
    ConditionKind, EventViews, ProcessRegistry, ProcessView, StoreHealth, StreamView,
};
use runtime::{Check, Checks, StreamHealth};

pub(crate) struct Health {
    pub(crate) store: Arc<dyn StoreHealth>,
    pub(crate) events: Arc<dyn EventViews>,
    pub(crate) processes: Arc<dyn ProcessRegistry>,
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
            Check::optional("salesforce", self.salesforce.problem()),
            Check::optional("salesforce names", self.salesforce.names_problem()),
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

    /// What the subscribers reported to the store.
    async fn stream(&self) -> StreamHealth {
        let read = async {
            let stream = self.events.stream(&self.channel).await?;
            let processes = self.processes.processes().await?;
            Ok::<_, StoreError>((stream, processes))
        };
        match read.await {
            Ok((stream, processes)) => stream_health(stream, &processes, self.clock.now()),
            Err(error) => StreamHealth {
                status: "stopped",
                last_message_at: None,
                last_error: Some(chain(&error).to_string()),
            },
        }
    }
}

/// A heartbeat older than this says nothing about the stream: they are sent every 10 s.
const FRESH: Duration = Duration::from_secs(25);

/// The stream's health, as the leading subscriber reported it last.
fn stream_health(stream: StreamView, processes: &[ProcessView], now: Timestamp) -> StreamHealth {
    let is_led = stream.leader.is_some_and(|(_, _, until)| until > now);
    let reports = || {
        processes
            .iter()
            .filter(|seen| seen.report.role == "subscriber")
    };
    let fresh = || reports().filter(|seen| seen.unseen_for <= FRESH);
    let leader = fresh().find(|seen| seen.shows(ConditionKind::Leads).is_some());
    let said = |seen: &ProcessView, kind| {
        let condition = seen.shows(kind)?;
        Some(condition.detail.clone()).filter(|detail| !detail.is_empty())
    };
    let (status, last_error) = match leader {
        Some(seen) if is_led && seen.shows(ConditionKind::Subscribed).is_some() => {
            ("subscribed", None)
        }
        Some(seen) if is_led && seen.shows(ConditionKind::Connecting).is_some() => {
            ("connecting", said(seen, ConditionKind::Connecting))
        }
        None if is_led => {
            let newest = reports().map(|seen| seen.unseen_for).min();
            let error = match newest {
                Some(age) if age > FRESH => {
                    format!("the subscriber last reported {} s ago", age.as_secs())
                }
                _ => "the leading subscriber has not reported its stream yet".to_owned(),
            };
            ("connecting", Some(error))
        }
        _ => {
            let stopped = fresh().find_map(|seen| said(seen, ConditionKind::Stopped));
            let error = stopped.unwrap_or_else(|| "no subscriber leads the channel".to_owned());
            ("stopped", Some(error))
        }
    };
    StreamHealth {
        status,
        last_message_at: stream.cursor.map(|cursor| cursor.committed_at),
        last_error,
    }
}

#[cfg(test)]
mod tests {
    use domain::key::Owner;
    use domain::ports::Epoch;
    use operations::{Condition, ProcessReport};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_000_000);

    fn led_until(millis: i64) -> StreamView {
        let owner = Owner::new("subscriber-1").unwrap();
        StreamView {
            leader: Some((owner, Epoch::from_number(1), Timestamp::from_millis(millis))),
            ..StreamView::default()
        }
    }

    fn reported(seconds_ago: u64, conditions: &[(ConditionKind, &str)]) -> ProcessView {
        let conditions = conditions.iter().map(|(kind, detail)| Condition {
            kind: *kind,
            since: NOW,
            detail: (*detail).to_owned(),
        });
        ProcessView {
            report: ProcessReport {
                id: Owner::new("subscriber-x").unwrap(),
                role: "subscriber".to_owned(),
                version: String::new(),
                host: String::new(),
                pid: 1,
                started_at: NOW,
                conditions: conditions.collect(),
                settings: Vec::new(),
            },
            seen_at: NOW,
            unseen_for: Duration::from_secs(seconds_ago),
        }
    }

    fn health(stream: StreamView, processes: &[ProcessView]) -> (&'static str, String) {
        let health = stream_health(stream, processes, NOW);
        (health.status, health.last_error.unwrap_or_default())
    }

    #[test]
    fn stream_health_is_what_the_leading_subscriber_reports() {
        use ConditionKind::{Connecting, Leads, Standby, Stopped, Subscribed};
        let led = || led_until(1_000_001);
        let standby = || reported(1, &[(Standby, "")]);
        let subscribed = [standby(), reported(9, &[(Subscribed, ""), (Leads, "")])];
        assert_eq!(health(led(), &subscribed), ("subscribed", String::new()));
        // The stream is gone, while the leader still holds its lease.
        let broken = [
            standby(),
            reported(9, &[(Connecting, "broken pipe"), (Leads, "")]),
        ];
        assert_eq!(
            health(led(), &broken),
            ("connecting", "broken pipe".to_owned())
        );
        let stale = [reported(40, &[(Subscribed, ""), (Leads, "")])];
        let (status, error) = health(led(), &stale);
        assert_eq!(status, "connecting");
        assert!(error.contains("40 s ago"), "{error}");
        let (status, _) = health(led(), &[standby()]);
        assert_eq!(status, "connecting", "a new leader has not reported yet");
        let (status, error) = health(led_until(999_999), &subscribed);
        assert_eq!(status, "stopped");
        assert!(error.contains("no subscriber leads"), "{error}");
        let paused = [reported(
            1,
            &[(Stopped, "intake is paused by ann: upgrade")],
        )];
        let (status, error) = health(StreamView::default(), &paused);
        assert_eq!(status, "stopped");
        assert!(error.contains("paused by ann"), "{error}");
    }
}
