//! Alerts over the real programs: raised once, told once, resolved once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use domain::ports::ConditionKind;
use serde_json::{Map, Value};
use simulators::salesforce::SalesforceOptions;
use simulators::whmcs::WhmcsOptions;
use tokio::net::TcpListener;

use crate::house::{Engine, TestEnv};

/// A receiver of alerts.
#[derive(Default)]
pub(crate) struct Inbox {
    /// Whether it refuses the first message.
    slow_to_wake: bool,
    refused: Mutex<Vec<Value>>,
    taken: Mutex<Vec<Value>>,
}

impl Inbox {
    /// What it took about an alert, in sequence.
    pub(crate) fn taken_about(&self, alert: &str) -> Vec<Value> {
        let taken = self.taken.lock().unwrap();
        let about = taken.iter().filter(|message| message["alert"] == alert);
        about.cloned().collect()
    }

    /// What it took about the share of failures: the statuses in their sequence.
    fn told(&self) -> Vec<String> {
        let taken = self.taken_about("ProvisioningFailureRateHigh");
        let statuses = taken.iter().map(|message| message["status"].as_str());
        statuses.map(|status| status.unwrap().to_owned()).collect()
    }
}

async fn receive(State(inbox): State<Arc<Inbox>>, headers: HeaderMap, body: String) -> StatusCode {
    assert_eq!(headers["content-type"], "application/json");
    let message: Value = serde_json::from_str(&body).unwrap();
    let mut refused = inbox.refused.lock().unwrap();
    if inbox.slow_to_wake && refused.is_empty() {
        refused.push(message);
        return StatusCode::SERVICE_UNAVAILABLE;
    }
    inbox.taken.lock().unwrap().push(message);
    StatusCode::OK
}

/// Opens a receiver; answers where it is, too.
pub(crate) async fn open_inbox(slow_to_wake: bool) -> (Arc<Inbox>, String) {
    let inbox = Arc::new(Inbox {
        slow_to_wake,
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

/// Orders of an account that no WHMCS client belongs to: they fail.
fn doomed(house: &TestEnv, count: usize) {
    let account = house.salesforce.create_account("Nobody Ltd", None).unwrap();
    for _ in 0..count {
        let order = house.place_for(&account, Map::new());
        house.salesforce.approve(order.as_str()).unwrap();
    }
}

async fn until_ended(house: &TestEnv, succeeded: u64, failed: u64) {
    house
        .until(async || {
            let queue_stats = house.store.reader.queue_stats().await.unwrap();
            queue_stats.count("succeeded") == succeeded && queue_stats.count("failed") == failed
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_failures_of_twelve_are_told_once_and_so_is_recovery() {
    let house = TestEnv::new().await;
    let (inbox, url) = open_inbox(true).await;
    let alerts = [("ALERT_WEBHOOK_URL", url.as_str()), ("ALERT_WINDOW", "1h")];
    let subscriber = house.subscribe_with(&alerts);
    let worker = house.work_with(&alerts);
    let open = [("PORTAL_AUTH", "none"), alerts[0], alerts[1]];
    let (portal, portal_url) = house.open_portal(&open).await;
    doomed(&house, 2);
    house.approve(10);
    until_ended(&house, 10, 2).await;
    house.until(async || !inbox.told().is_empty()).await;
    let message = inbox.taken.lock().unwrap()[0].clone();
    // Its numbers go on meanwhile.
    for name in ["alert", "status", "startsAt"] {
        let refused = &inbox.refused.lock().unwrap()[0];
        assert_eq!(message[name], refused[name], "it is repeated as it was");
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
    let views = house.store.reader.processes().await.unwrap();
    let roles: Vec<_> = views.iter().map(|view| view.report.role.as_str()).collect();
    assert_eq!(roles, ["portal", "subscriber", "worker"]);
    let shown = format!("{views:?}");
    assert!(!shown.contains(&url), "{shown}");
    let led = async || {
        let views = house.store.reader.processes().await.unwrap();
        views.iter().any(|view| view.shows(ConditionKind::Leads).is_some())
    };
    house.until(led).await;

    // One in ten is not above the line.
    house.approve(8);
    until_ended(&house, 18, 2).await;
    house.until(async || inbox.told().len() >= 2).await;
    for program in [subscriber, worker, portal] {
        program.stop().await;
    }
    assert_eq!(inbox.told(), ["firing", "resolved"]);
    let views = house.store.reader.processes().await.unwrap();
    assert!(views.is_empty(), "whoever ends says goodbye");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_successor_knows_what_was_told() {
    let house = TestEnv::new().await;
    let (inbox, url) = open_inbox(true).await;
    let alerts = [
        ("ALERT_WEBHOOK_URL", url.as_str()),
        ("ALERT_WINDOW", "1h"),
        ("ALERT_MIN_ATTEMPTS", "2"),
    ];
    let subscriber = house.subscribe();
    let first = house.work_with(&alerts);
    doomed(&house, 2);
    until_ended(&house, 0, 2).await;
    house.until(async || !inbox.told().is_empty()).await;
    first.stop().await;
    let second = house.work_with(&alerts);
    house.approve(18);
    until_ended(&house, 18, 2).await;
    house.until(async || inbox.told().len() >= 2).await;
    second.stop().await;
    subscriber.stop().await;
    assert_eq!(inbox.told(), ["firing", "resolved"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_allowance_of_calls_that_runs_out_is_told_by_whoever_calls() {
    let org = SalesforceOptions {
        daily_calls: 4,
        ..SalesforceOptions::default()
    };
    let house = TestEnv::between(org, WhmcsOptions::default(), Engine::Sqlite).await;
    let (inbox, url) = open_inbox(false).await;
    let subscriber = house.subscribe();
    let worker = house.work_with(&[("ALERT_WEBHOOK_URL", url.as_str())]);
    house.approve(2);
    until_ended(&house, 2, 0).await;
    let told = || inbox.taken_about("ApiAllowanceLow");
    house.until(async || !told().is_empty()).await;
    let description = told()[0]["description"].to_string();
    let words = "of the day's API calls are left";
    assert!(description.contains(words), "{description}");
    worker.stop().await;
    subscriber.stop().await;
}
