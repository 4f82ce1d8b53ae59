//! What one account may cost the portal and Salesforce.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::id::OrderId;
use domain::order::ActivationStatus;
use domain::ports::Clock;
use portal_web::TokenKeys;
use serde_json::json;
use testkit::order_id;

use crate::test_env::{OTHER, OWN, TestEnv, config, signed};

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

/// Everyone on this machine, whom no limit per account applies to.
fn open_env() -> TestEnv {
    TestEnv::with(config(TokenKeys::Nobody))
}

async fn status(env: &TestEnv, order: OrderId, token: &str) -> StatusCode {
    let path = format!("/api/orders/{order}");
    env.get(&path, Some(token)).await.status
}

#[tokio::test]
async fn salesforce_reads_are_limited_per_account() {
    let env = TestEnv::new();
    let token = env.token();
    for n in 100..160 {
        let unknown = status(&env, order_id(n), &token).await;
        assert_eq!(unknown, StatusCode::NOT_FOUND);
    }
    let limited = status(&env, order_id(160), &token).await;
    assert_eq!(limited, StatusCode::TOO_MANY_REQUESTS);
    // What was already answered stays answered.
    let known = status(&env, order_id(100), &token).await;
    assert_eq!(known, StatusCode::NOT_FOUND);
    assert_eq!(env.crm.customer_reads(), 60);
    let other = env.put_as(order_id(2), OTHER, ActivationStatus::Activating);
    let read = status(&env, other, &other_token(&env)).await;
    assert_eq!(read, StatusCode::OK);
    // The limit does not tell whether another customer's order exists.
    let foreign = status(&env, other, &token).await;
    assert_eq!(foreign, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn own_order_is_answered_with_its_age_beyond_the_limit_of_salesforce_reads() {
    let env = TestEnv::new();
    let (order, token) = (env.order(), env.token());
    assert_eq!(status(&env, order, &token).await, StatusCode::OK);
    env.clock.advance(Duration::from_secs(31));
    for n in 100..160 {
        status(&env, order_id(n), &token).await;
    }
    assert_eq!(status(&env, order, &token).await, StatusCode::OK);
    assert_eq!(env.crm.customer_reads(), 61);
}

#[tokio::test]
async fn low_allowance_is_left_to_jobs_in_progress() {
    let env = TestEnv::new();
    let (path, token) = (format!("/api/orders/{}", env.order()), env.token());
    env.crm.set_allowance(90, 100);
    let before = env.get(&path, Some(&token)).await.json();
    env.crm.set_allowance(91, 100);
    env.clock.advance(Duration::from_secs(60));
    let after = env.get(&path, Some(&token)).await;
    assert_eq!(after.json(), before);
    let unknown = status(&env, order_id(9), &token).await;
    assert_eq!(unknown, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(env.crm.customer_reads(), 1);
}

#[tokio::test]
async fn portal_uses_a_share_of_the_allowance() {
    let env = open_env();
    // A quarter of it for reads, a quarter of that in one burst.
    env.crm.set_allowance(0, 1600);
    for n in 100..200 {
        let unknown = status(&env, order_id(n), "").await;
        assert_eq!(unknown, StatusCode::NOT_FOUND);
    }
    let beyond = status(&env, order_id(200), "").await;
    assert_eq!(beyond, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(env.crm.calls(), 100);
    env.clock.advance(Duration::from_secs(24 * 3600 / 400));
    let later = status(&env, order_id(200), "").await;
    assert_eq!(later, StatusCode::NOT_FOUND);
    let again = status(&env, order_id(201), "").await;
    assert_eq!(again, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn new_orders_use_a_share_of_the_allowance() {
    let env = open_env();
    env.crm.set_allowance(0, 160);
    let body = json!({"accountId": OWN,
        "items": [{"pricebookEntryId": "01u000000000001", "quantity": 1}]});
    let body = body.to_string();
    for key in ["k1", "k2"] {
        let placed = env.place(key, "", &body).await;
        assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.text);
    }
    let beyond = env.place("k3", "", &body).await;
    assert_eq!(beyond.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(env.crm.written().len(), 2);
}

/// A body that is never complete, and tells whether anybody began to read it.
fn endless_body() -> (Body, Arc<AtomicBool>) {
    let is_read = Arc::<AtomicBool>::default();
    let mark = Arc::clone(&is_read);
    let stream = futures::stream::poll_fn(move |_| {
        mark.store(true, Ordering::SeqCst);
        Poll::<Option<Result<Vec<u8>, std::io::Error>>>::Pending
    });
    (Body::from_stream(stream), is_read)
}

#[tokio::test]
async fn bodies_are_received_from_permitted_callers_only() {
    let env = TestEnv::new();
    for (path, content_type) in [
        ("/api/orders", "application/json"),
        ("/ops/act", "application/x-www-form-urlencoded"),
        ("/ops/api/act", "application/json"),
    ] {
        let (body, is_read) = endless_body();
        let request = Request::post(path)
            .header("content-type", content_type)
            .header("authorization", "Bearer nonsense");
        let denied = env.send(request.body(body).unwrap()).await;
        assert!(denied.status.is_client_error(), "{path}: {}", denied.status);
        assert!(!is_read.load(Ordering::SeqCst), "{path}");
    }
}

#[tokio::test]
async fn account_sends_few_new_orders_at_once() {
    let env = Arc::new(TestEnv::new());
    let order = |env: &TestEnv| {
        let (body, _) = endless_body();
        let request = Request::post("/api/orders")
            .header("content-type", "application/json")
            .header("idempotency-key", "k")
            .header("authorization", format!("Bearer {}", env.token()));
        request.body(body).unwrap()
    };
    let mut open = Vec::new();
    for _ in 0..8 {
        let (env, request) = (Arc::clone(&env), order(&env));
        let mut sending = Box::pin(async move { env.send(request).await });
        assert!(futures::poll!(&mut sending).is_pending());
        open.push(sending);
    }
    let limited = env.send(order(&env)).await;
    assert_eq!(limited.status, StatusCode::TOO_MANY_REQUESTS);
    drop(open);
    let placed = env.place("k", &env.token(), "{\"items\":[]}").await;
    assert_eq!(
        placed.status,
        StatusCode::UNPROCESSABLE_ENTITY,
        "it is read"
    );
}
