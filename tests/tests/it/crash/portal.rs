//! Crashes of a portal while an operator retries an order.

use std::fs;

use domain::id::OrderId;
use e2e::crash_points::CRASH_POINTS_FILE;
use serde_json::{Map, json};

use crate::process::{Process, address, until_logged, was_killed};
use crate::test_env::{Engine, TestEnv};

const PORTAL: &str = env!("CARGO_BIN_EXE_crashable-portal");

/// Crash point, expected audit log, and expected activation status.
const CASES: [(&str, &[&str], &str); 6] = [
    ("before store.execute ask_again", &[], "Failed"),
    ("after store.execute ask_again", &["ask_again"], "Failed"),
    ("before salesforce.request_retry", &["ask_again"], "Failed"),
    (
        "after salesforce.request_retry",
        &["ask_again"],
        "Activating",
    ),
    (
        "before store.execute asked_again",
        &["ask_again"],
        "Activating",
    ),
    (
        "after store.execute asked_again",
        &["ask_again", "asked_again"],
        "Activating",
    ),
];

on_both_stores! {
    portal_crash_during_retry_keeps_audit_log_consistent: portal_crash_during_retry();
}

async fn portal_crash_during_retry(engine: Engine) {
    let env = TestEnv::on(engine).await;
    let account = env.salesforce.create_account("New Ltd", None).unwrap();
    let orders = CASES.map(|_| env.place_for(&account, Map::new()));
    let worker = env.work();
    let subscriber = env.subscribe();
    for order in &orders {
        env.salesforce.approve(order.as_str()).unwrap();
    }
    for order in &orders {
        env.until_activation(order, "Failed").await;
    }
    // Nothing processes the requested events meanwhile.
    subscriber.stop().await;
    for (at, (point, audit, status)) in CASES.into_iter().enumerate() {
        let order = &orders[at];
        crash_during_retry(&env, order, point, at).await;
        assert_eq!(audit_of(&env, order).await, audit, "{point}");
        assert_eq!(env.field(order, "Activation_Status__c"), status, "{point}");
    }
    // Repeating the command is safe: an order already requested is skipped.
    let client = env.whmcs.add_client("New", "Ltd", "new@example.com");
    let client = json!(client.to_string());
    env.salesforce
        .set_field(&account, "WHMCS_Client_ID__c", client)
        .unwrap();
    let (portal, url) = env.open_portal(&[("OPS_TOKEN", TOKEN), AUTH]).await;
    let retry = request_retry_of(&url, &orders).await.unwrap();
    assert_eq!(retry.status(), 200);
    let subscriber = env.subscribe();
    for order in &orders {
        env.until_activation(order, "Activated").await;
        env.assert_provisioned_once(order);
        let jobs = env.store.ports.jobs_of(*order).await.unwrap();
        assert_eq!(jobs.len(), 2, "the failed attempt and the retry");
        let audit = audit_of(&env, order).await;
        assert_eq!(audit[audit.len() - 2..], ["ask_again", "asked_again"]);
    }
    for program in [portal, subscriber, worker] {
        program.stop().await;
    }
}

const TOKEN: &str = "a token for operators";
const AUTH: (&str, &str) = ("PORTAL_AUTH", "none");

async fn request_retry_of(url: &str, orders: &[OrderId]) -> reqwest::Result<reqwest::Response> {
    let orders: Vec<_> = orders.iter().map(OrderId::as_str).collect();
    let command = json!({"act": "retry", "order": orders, "reason": "linked"});
    let http = reqwest::Client::new();
    let request = http.post(format!("{url}/ops/api/act")).bearer_auth(TOKEN);
    request
        .header("x-operator", "Ada")
        .json(&command)
        .send()
        .await
}

async fn crash_during_retry(env: &TestEnv, order: &OrderId, point: &str, at: usize) {
    let (crash_points, log) = (
        env.file("crash_points"),
        env.file(&format!("portal-{at}.log")),
    );
    fs::write(&crash_points, format!("* {point}")).unwrap();
    let mut settings = env.common_settings();
    settings.extend([
        (CRASH_POINTS_FILE, crash_points.display().to_string()),
        ("OPS_TOKEN", TOKEN.to_owned()),
        (AUTH.0, AUTH.1.to_owned()),
    ]);
    let mut process = Process::start(PORTAL, &settings, &log);
    until_logged(&log, "portal started").await;
    let url = format!("http://{}", address(&log, "portal").await);
    let retry = request_retry_of(&url, std::slice::from_ref(order)).await;
    assert!(retry.is_err(), "{point}: {retry:?}");
    assert!(was_killed(process.ended().await), "{point}");
}

/// Audit log entries of the order, oldest first.
async fn audit_of(env: &TestEnv, order: &OrderId) -> Vec<String> {
    let audit = env.store.ports.audit(99).await.unwrap();
    let lines = audit.into_iter().rev();
    lines
        .filter(|line| line.subject.starts_with(order.as_str()))
        .map(|line| line.act)
        .collect()
}
