//! What one account may cost the portal and Salesforce.

use std::time::Duration;

use axum::http::StatusCode;
use domain::order::ActivationStatus;
use domain::ports::Clock;
use serde_json::json;
use testkit::order_id;

use crate::test_env::{OTHER, OWN, TestEnv, signed};

fn other_token(env: &TestEnv) -> String {
    let mut claims = env.claims();
    claims["account_id"] = json!(OTHER);
    signed(&claims)
}

#[tokio::test]
async fn reads_are_limited_per_account() {
    let env = TestEnv::new();
    let path = format!("/api/orders/{}", env.order());
    let token = env.token();
    for _ in 0..120 {
        let read = env.get(&path, Some(&token)).await;
        assert_eq!(read.status, StatusCode::OK);
    }
    for path in [
        path.clone(),
        format!("{path}/events"),
        path.replace("/api", ""),
    ] {
        let limited = env.get(&path, Some(&token)).await;
        assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
    }
    let limited = env.get(&path, Some(&token)).await;
    assert_eq!(limited.header("retry-after"), "1");
    let other = env.get(&path, Some(&other_token(&env))).await;
    assert_eq!(other.status, StatusCode::NOT_FOUND);
    env.clock.advance(Duration::from_secs(1));
    assert_eq!(env.get(&path, Some(&token)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn new_orders_are_limited_per_account() {
    let env = TestEnv::new();
    let body = json!({"items": [{"pricebookEntryId": "01u000000000001", "quantity": 1}]});
    let body = body.to_string();
    let token = env.token();
    for n in 0..20 {
        let placed = env.place(&format!("k{n}"), &token, &body).await;
        assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.text);
    }
    let limited = env.place("k20", &token, &body).await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.header("retry-after"), "3");
    let other = env.place("k0", &other_token(&env), &body).await;
    assert_eq!(other.status, StatusCode::CREATED);
    env.clock.advance(Duration::from_secs(3));
    let placed = env.place("k20", &token, &body).await;
    assert_eq!(placed.status, StatusCode::CREATED);
}

#[tokio::test]
async fn unknown_id_costs_one_salesforce_read_per_minute() {
    let env = TestEnv::new();
    let token = env.token();
    let path = format!("/api/orders/{}", order_id(9));
    for (seconds, reads) in [(0, 1), (1, 1), (58, 1), (1, 2)] {
        env.clock.advance(Duration::from_secs(seconds));
        let unknown = env.get(&path, Some(&token)).await;
        assert_eq!(unknown.status, StatusCode::NOT_FOUND);
        assert_eq!(env.crm.customer_reads(), reads, "after {seconds} s more");
    }
}

#[tokio::test]
async fn stream_count_is_limited_per_account() {
    let env = TestEnv::new();
    let path = format!("/api/orders/{}/events", env.order());
    let token = env.token();
    let mut open = Vec::new();
    for _ in 0..10 {
        let stream = env.open(&path, &token).await;
        assert_eq!(stream.status(), StatusCode::OK);
        open.push(stream);
    }
    let limited = env.open(&path, &token).await;
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    let other = env.put_as(order_id(2), OTHER, ActivationStatus::Activating);
    let path_of_other = format!("/api/orders/{other}/events");
    let stream = env.open(&path_of_other, &other_token(&env)).await;
    assert_eq!(stream.status(), StatusCode::OK);
    open.pop();
    let stream = env.open(&path, &token).await;
    assert_eq!(stream.status(), StatusCode::OK);
}

#[tokio::test]
async fn stream_ends_when_its_token_does() {
    let env = TestEnv::new();
    let path = format!(
        "/api/orders/{}/events",
        env.put(OWN, ActivationStatus::Activating)
    );
    let token = env.token();
    let started = env.clock.now();
    let stream = env.get(&path, Some(&token)).await;
    assert_eq!(stream.status, StatusCode::OK);
    let lasted = env.clock.now().since(started);
    assert_eq!(lasted, Duration::from_secs(600));
}
