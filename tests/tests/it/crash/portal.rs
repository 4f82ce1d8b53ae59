//! A portal dies while an operator asks for another attempt.

use std::fs;

use domain::id::OrderId;
use e2e::points::FATES;
use serde_json::{Map, json};

use crate::house::{Engine, TestEnv};
use crate::process::{Process, address, until_logged, was_killed};

const PORTAL: &str = env!("CARGO_BIN_EXE_victim-portal");

/// Where it dies, what the audit log tells then, and how the order stands.
const CASES: [(&str, &[&str], &str); 6] = [
    ("before store.act ask_again", &[], "Failed"),
    ("after store.act ask_again", &["ask_again"], "Failed"),
    ("before salesforce.ask_again", &["ask_again"], "Failed"),
    ("after salesforce.ask_again", &["ask_again"], "Activating"),
    ("before store.act asked_again", &["ask_again"], "Activating"),
    (
        "after store.act asked_again",
        &["ask_again", "asked_again"],
        "Activating",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_an_order_is_asked_for_on_sqlite_the_audit_log_tells_what_is_known() {
    killed_while_an_order_is_asked_for(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_an_order_is_asked_for_on_postgres_the_audit_log_tells_what_is_known() {
    killed_while_an_order_is_asked_for(Engine::Postgres).await;
}

async fn killed_while_an_order_is_asked_for(engine: Engine) {
    let house = TestEnv::on(engine).await;
    let account = house.salesforce.create_account("New Ltd", None).unwrap();
    let orders = CASES.map(|_| house.place_for(&account, Map::new()));
    let worker = house.work();
    let subscriber = house.subscribe();
    for order in &orders {
        house.salesforce.approve(order.as_str()).unwrap();
    }
    for order in &orders {
        house.until_activation(order, "Failed").await;
    }
    // Nobody acts on what is asked for meanwhile.
    subscriber.stop().await;
    for (at, (point, told, status)) in CASES.into_iter().enumerate() {
        let order = &orders[at];
        die_asking_for(&house, order, point, at).await;
        assert_eq!(told_of(&house, order).await, told, "{point}");
        assert_eq!(
            house.field(order, "Activation_Status__c"),
            status,
            "{point}"
        );
    }
    // Whoever is in doubt asks once more: what was asked for already is left alone.
    let client = house.whmcs.add_client("New", "Ltd", "new@example.com");
    let client = json!(client.to_string());
    house
        .salesforce
        .set_field(&account, "WHMCS_Client_ID__c", client)
        .unwrap();
    let (portal, url) = house.open_portal(&[("OPS_TOKEN", TOKEN), AUTH]).await;
    let asked = ask_for(&url, &orders).await.unwrap();
    assert_eq!(asked.status(), 200);
    let subscriber = house.subscribe();
    for order in &orders {
        house.until_activation(order, "Activated").await;
        house.assert_provisioned_once(order);
        let jobs = house.store.reader.jobs_of(*order).await.unwrap();
        assert_eq!(jobs.len(), 2, "the failed attempt and the one asked for");
        let told = told_of(&house, order).await;
        assert_eq!(told[told.len() - 2..], ["ask_again", "asked_again"]);
    }
    for program in [portal, subscriber, worker] {
        program.stop().await;
    }
}

const TOKEN: &str = "a token for operators";
const AUTH: (&str, &str) = ("PORTAL_AUTH", "none");

async fn ask_for(url: &str, orders: &[OrderId]) -> reqwest::Result<reqwest::Response> {
    let orders: Vec<_> = orders.iter().map(OrderId::as_str).collect();
    let act = json!({"act": "retry", "order": orders, "reason": "linked"});
    let http = reqwest::Client::new();
    let request = http.post(format!("{url}/ops/api/act")).bearer_auth(TOKEN);
    request.header("x-operator", "Ada").json(&act).send().await
}

async fn die_asking_for(house: &TestEnv, order: &OrderId, point: &str, at: usize) {
    let (fates, log) = (house.file("fates"), house.file(&format!("portal-{at}.log")));
    fs::write(&fates, format!("* {point}")).unwrap();
    let mut settings = house.common_settings();
    settings.extend([
        (FATES, fates.display().to_string()),
        ("OPS_TOKEN", TOKEN.to_owned()),
        (AUTH.0, AUTH.1.to_owned()),
    ]);
    let mut victim = Process::start(PORTAL, &settings, &log);
    until_logged(&log, "portal started").await;
    let url = format!("http://{}", address(&log, "portal"));
    let asked = ask_for(&url, std::slice::from_ref(order)).await;
    assert!(asked.is_err(), "{point}: {asked:?}");
    assert!(was_killed(victim.ended().await), "{point}");
}

/// What the audit log tells of the order, oldest first.
async fn told_of(house: &TestEnv, order: &OrderId) -> Vec<String> {
    let audit = house.store.reader.audit(99).await.unwrap();
    let lines = audit.into_iter().rev();
    lines
        .filter(|line| line.subject.starts_with(order.as_str()))
        .map(|line| line.act)
        .collect()
}
