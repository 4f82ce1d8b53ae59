//! Alerts of the real programs: each notified once and resolved once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use domain::job::JobOutcome;
use operations::{ConditionKind, JobStage};
use serde_json::{Map, Value};
use simulators::salesforce::SalesforceOptions;
use simulators::whmcs::WhmcsOptions;
use tokio::net::TcpListener;

use crate::test_env::{Engine, TestEnv};

/// A webhook receiver.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Whether it rejects the first message.
    rejects_first: bool,
    refused: Mutex<Vec<Value>>,
    accepted: Mutex<Vec<Value>>,
}

impl Inbox {
    /// Accepted messages of an alert, in order.
    pub(crate) fn accepted_about(&self, alert: &str) -> Vec<Value> {
        let accepted = self.accepted.lock().unwrap();
        let about = accepted.iter().filter(|message| message["alert"] == alert);
        about.cloned().collect()
    }

    /// Statuses of the accepted failure rate alerts, in order.
    fn statuses(&self) -> Vec<String> {
        let accepted = self.accepted_about("ProvisioningFailureRateHigh");
        let statuses = accepted.iter().map(|message| message["status"].as_str());
        statuses.map(|status| status.unwrap().to_owned()).collect()
    }
}

async fn receive(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: String) -> StatusCode {
    assert_eq!(headers["content-type"], "application/json");
    let message: Value = serde_json::from_str(&body).unwrap();
    let mut refused = inbox.refused.lock().unwrap();
    if inbox.rejects_first && refused.is_empty() {
        refused.push(message);
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    inbox.accepted.lock().unwrap().push(message);
    StatusCode::OK
}

/// Starts a receiver and returns its URL.
pub(crate) async fn open_inbox(rejects_first: bool) -> (Arc<Inbox>, String) {
    let inbox = Arc::new(Inbox {
        rejects_first,
        ..Inbox::default()
    });
    let router = Router::new()
        .route("/hook", post(receive))
        .with_state(Arc::clone(&inbox));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (inbox, url)
}

/// Places orders of an account without a WHMCS client, which fail.
fn place_failing(env: &TestEnv, count: usize) {
    let account = env.salesforce.create_account("Unlinked Ltd", None).unwrap();
    for _ in 0..count {
        let order = env.place_for(&account, Map::new());
        env.salesforce.approve(order.as_str()).unwrap();
    }
}

async fn until_ended(env: &TestEnv, succeeded: u64, failed: u64) {
    env.until(async || {
        let queue_stats = env.store.ports.queue_stats().await.unwrap();
        queue_stats.count(JobStage::Ended(JobOutcome::Succeeded)) == succeeded
            && queue_stats.count(JobStage::Ended(JobOutcome::Failed)) == failed
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failure_rate_alert_fires_once_and_resolves_once() {
    let env = TestEnv::new().await;
    let (inbox, url) = open_inbox(true).await;
    let alerts = [("ALERT_WEBHOOK_URL", url.as_str()), ("ALERT_WINDOW", "1h")];
    let subscriber = env.subscribe_with(&alerts);
    let worker = env.work_with(&alerts);
    let open = [("PORTAL_AUTH", "none"), alerts[0], alerts[1]];
    let (portal, portal_url) = env.open_portal(&open).await;
    place_failing(&env, 2);
    env.approve(10);
    until_ended(&env, 10, 2).await;
    env.until(async || !inbox.statuses().is_empty()).await;
    let message = inbox.accepted.lock().unwrap()[0].clone();
    // Other fields change in the meantime.
    for name in ["alert", "status", "startsAt"] {
        let refused = &inbox.refused.lock().unwrap()[0];
        assert_eq!(
            message[name], refused[name],
            "the message is resent unchanged"
        );
    }
    let names: BTreeSet<_> = message.as_object().unwrap().keys().cloned().collect();
    let promised = [
        "alert",
        "status",
        "severity",
        "summary",
        "description",
        "labels",
        "startsAt",
        "endsAt",
    ];
    assert_eq!(names, promised.map(str::to_owned).into());
    assert_eq!(message["severity"], "page");
    assert_eq!(message["endsAt"], Value::Null);

    let page = reqwest::get(format!("{portal_url}/ops")).await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains("Too many orders fail"), "{page}");
    let views = env.store.ports.processes().await.unwrap();
    let roles: Vec<_> = views.iter().map(|view| view.report.role.as_str()).collect();
    assert_eq!(roles, ["portal", "subscriber", "worker"]);
    let shown = format!("{views:?}");
    assert!(!shown.contains(&url), "{shown}");
    let led = async || {
        let views = env.store.ports.processes().await.unwrap();
        views
            .iter()
            .any(|view| view.shows(ConditionKind::Leads).is_some())
    };
    env.until(led).await;

    // A share of exactly 0.10 does not exceed the threshold.
    env.approve(8);
    until_ended(&env, 18, 2).await;
    env.until(async || inbox.statuses().len() >= 2).await;
    for program in [subscriber, worker, portal] {
        program.stop().await;
    }
    assert_eq!(inbox.statuses(), ["firing", "resolved"]);
    let views = env.store.ports.processes().await.unwrap();
    assert!(views.is_empty(), "stopped processes are deregistered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn successor_does_not_repeat_notifications() {
    let env = TestEnv::new().await;
    let (inbox, url) = open_inbox(true).await;
    let alerts = [
        ("ALERT_WEBHOOK_URL", url.as_str()),
        ("ALERT_WINDOW", "1h"),
        ("ALERT_MIN_ATTEMPTS", "2"),
    ];
    let subscriber = env.subscribe();
    let first = env.work_with(&alerts);
    place_failing(&env, 2);
    until_ended(&env, 0, 2).await;
    env.until(async || !inbox.statuses().is_empty()).await;
    first.stop().await;
    let second = env.work_with(&alerts);
    env.approve(18);
    until_ended(&env, 18, 2).await;
    env.until(async || inbox.statuses().len() >= 2).await;
    second.stop().await;
    subscriber.stop().await;
    assert_eq!(inbox.statuses(), ["firing", "resolved"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn low_api_allowance_raises_alert() {
    let org = SalesforceOptions {
        daily_calls: 4,
        ..SalesforceOptions::default()
    };
    let env = TestEnv::between(org, WhmcsOptions::default(), Engine::Sqlite).await;
    let (inbox, url) = open_inbox(false).await;
    let subscriber = env.subscribe();
    let worker = env.work_with(&[("ALERT_WEBHOOK_URL", url.as_str())]);
    env.approve(2);
    until_ended(&env, 2, 0).await;
    let accepted = || inbox.accepted_about("ApiAllowanceLow");
    env.until(async || !accepted().is_empty()).await;
    let description = accepted()[0]["description"].to_string();
    let words = "of the day's API calls are left";
    assert!(description.contains(words), "{description}");
    worker.stop().await;
    subscriber.stop().await;
}
