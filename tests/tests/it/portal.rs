//! The portal together with the other programs.

use std::time::Duration;

use domain::id::OrderId;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::test_env::TestEnv;

/// Disables authentication on the loopback listener.
const OPEN: &[(&str, &str)] = &[("PORTAL_AUTH", "none")];

async fn place(env: &TestEnv, http: &reqwest::Client, url: &str) -> (StatusCode, OrderId) {
    let placed = http
        .post(format!("{url}/api/orders"))
        .header("idempotency-key", "first order")
        .json(&env.order_body())
        .send()
        .await
        .unwrap();
    let status = placed.status();
    let body: Value = placed.json().await.unwrap();
    let order = OrderId::parse(body["sfOrderId"].as_str().unwrap()).unwrap();
    (status, order)
}

/// Statuses of an event stream, until it ends.
async fn follow(http: &reqwest::Client, url: &str, order: OrderId) -> Vec<String> {
    let stream = http.get(format!("{url}/api/orders/{order}/events"));
    let stream = stream.timeout(Duration::from_secs(120)).send().await;
    let text = stream.unwrap().text().await.unwrap();
    let statuses = text.lines().filter_map(|line| line.strip_prefix("data: "));
    statuses
        .map(|data| {
            let status: Value = serde_json::from_str(data).unwrap();
            status["status"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test]
async fn customer_places_and_follows_order_until_provisioned() {
    let env = TestEnv::new().await;
    let (portal, url) = env.open_portal(OPEN).await;
    let http = reqwest::Client::new();
    let (status, order) = place(&env, &http, &url).await;
    assert_eq!(status, StatusCode::CREATED);
    assert_eq!(place(&env, &http, &url).await, (StatusCode::OK, order));
    assert_eq!(env.salesforce.records("Order").len(), 1);
    let (subscriber, worker) = (env.subscribe(), env.work());
    let approve = async {
        env.salesforce.approve(order.as_str()).unwrap();
    };
    let (statuses, ()) = tokio::join!(follow(&http, &url, order), approve);
    assert_eq!(statuses.last().map(String::as_str), Some("Provisioned"));
    assert_eq!(env.whmcs.orders_for(order.as_str()).len(), 1);
    let page = http
        .get(format!("{url}/orders/{order}"))
        .send()
        .await
        .unwrap();
    assert!(page.text().await.unwrap().contains("ready to use"));
    let health = http
        .get(format!("{url}/health/sf-events"))
        .send()
        .await
        .unwrap();
    assert_eq!(
        health.json::<Value>().await.unwrap()["status"],
        "subscribed"
    );
    for program in [subscriber, worker, portal] {
        program.stop().await;
    }
}

#[tokio::test]
async fn operator_sees_failure_cause_and_retries() {
    let env = TestEnv::new().await;
    let (portal, url) = env
        .open_portal(&[
            ("PORTAL_JWT_SECRET", "0123456789abcdef0123456789abcdef"),
            ("OPS_TOKEN", "a token for operators"),
        ])
        .await;
    let (subscriber, worker) = (env.subscribe(), env.work());
    let product = &env.salesforce.records("Product2")[0];
    let product = product["Id"].as_str().unwrap();
    let map = |number: Value| {
        env.salesforce
            .set_field(product, "WHMCS_Product_Id__c", number)
            .unwrap();
    };
    map(Value::Null);
    let order = env.place();
    env.salesforce.approve(order.as_str()).unwrap();
    env.until_activation(&order, "Failed").await;
    let http = reqwest::Client::new();
    let ops = |request: reqwest::RequestBuilder| {
        request
            .bearer_auth("a token for operators")
            .header("x-operator", "Ada")
    };
    let page = ops(http.get(format!("{url}/ops/orders/{order}")))
        .send()
        .await;
    let page = page.unwrap().text().await.unwrap();
    assert!(page.contains("MAPPING_MISSING"), "{page}");
    map(json!("5"));
    let command = json!({"act": "retry", "order": [order.as_str()], "reason": "mapped"});
    let response = ops(http.post(format!("{url}/ops/api/act")))
        .json(&command)
        .send()
        .await;
    assert_eq!(response.unwrap().status(), StatusCode::OK);
    env.until_activation(&order, "Activated").await;
    let audit = env.store.ports.audit(9).await.unwrap();
    assert_eq!(audit[0].who, "Ada (typed)");
    for program in [subscriber, worker, portal] {
        program.stop().await;
    }
}

#[tokio::test]
async fn responses_are_timed_by_route_and_denials_counted_by_reason() {
    let env = TestEnv::new().await;
    let (portal, url) = env.open_portal(OPEN).await;
    let metrics = async || {
        let page = reqwest::get(format!("{url}/metrics")).await.unwrap();
        page.text().await.unwrap()
    };
    let denied = r#"orderbridge_portal_denied_total{reason="not_found"}"#;
    assert!(metrics().await.contains(&format!("{denied} 0")));
    for path in ["/api/orders/801000000000009", "/nowhere/801000000000009"] {
        let answer = reqwest::get(format!("{url}{path}")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
    let after = metrics().await;
    assert!(after.contains(&format!("{denied} 2")), "{after}");
    for route in ["/api/orders/{order}", "other"] {
        let timed = format!(
            r#"http_server_request_duration_seconds_count{{method="GET",route="{route}",status_code="404"}} 1"#
        );
        assert!(after.contains(&timed), "{timed} is not in\n{after}");
    }
    assert!(!after.contains("801000000000009"), "{after}");
    portal.stop().await;
}
