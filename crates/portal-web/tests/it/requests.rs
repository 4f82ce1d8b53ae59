//! What applies to every request: its id, its log lines, other origins.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use serde_json::json;

use testkit::Logs;

use crate::test_env::{OWN, TestEnv, config, secret};

const ID: &str = "x-request-id";

fn get(path: &str, token: &str) -> Request<Body> {
    let request = Request::get(path).header(ID, "req-1");
    let request = request.header("authorization", format!("Bearer {token}"));
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn every_problem_document_names_its_request() {
    let env = TestEnv::new();
    let token = env.token();
    for (path, token) in [
        ("/api/orders/801000000000009", token.as_str()),
        ("/api/orders/123", token.as_str()),
        ("/api/orders/801000000000009", "wrong"),
        // What the framework itself rejects.
        ("/api/orders/%ff", token.as_str()),
        ("/nowhere", ""),
        ("/api/orders", ""),
        ("/ops/api/overview", ""),
    ] {
        let problem = env.send(get(path, token)).await;
        assert!(problem.status.is_client_error(), "{path}");
        assert_eq!(problem.header("content-type"), "application/problem+json");
        assert_eq!(problem.json()["requestId"], "req-1", "{path}");
    }
}

#[tokio::test]
async fn placed_orders_and_refused_tokens_are_logged_without_secrets() {
    let logs = Logs::capture();
    let env = TestEnv::new();
    let token = env.token();
    let body = json!({"items": [{"pricebookEntryId": "01u000000000001", "quantity": 1}]});
    let request = Request::post("/api/orders")
        .header(ID, "req-2")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .header("idempotency-key", "k");
    let request = request.body(Body::from(body.to_string())).unwrap();
    let placed = env.send(request).await;
    assert_eq!(placed.status, StatusCode::CREATED);
    env.clock.advance(std::time::Duration::from_secs(3600));
    let path = format!("/api/orders/{}", testkit::order_id(1));
    env.send(get(&path, &token)).await;
    let text = logs.text();
    let line = |words: &str| {
        let mut lines = text.lines();
        lines.find(|line| line.contains(words)).unwrap().to_owned()
    };
    let placed_line = line("order placed");
    let order = placed.json()["sfOrderId"].as_str().unwrap().to_owned();
    for words in [order.as_str(), OWN, "req-2"] {
        assert!(placed_line.contains(words), "{words}: {placed_line}");
    }
    let refused = line("token refused");
    assert!(
        refused.contains("expired") && refused.contains("req-1"),
        "{refused}"
    );
    assert!(!text.contains(&token), "{text}");
}

#[tokio::test]
async fn response_tells_the_access_log_who_asked() {
    let env = TestEnv::new();
    let path = format!("/api/orders/{}", env.order());
    let response = env.open(&path, &env.token()).await;
    let actor = portal_web::actor(response.extensions());
    assert_eq!(actor, Some(format!("account {OWN}")));
    let response = env.open(&path, "wrong").await;
    assert_eq!(portal_web::actor(response.extensions()), None);
}

#[tokio::test]
async fn listed_origins_may_call_the_customer_api_and_no_others() {
    let mut config = config(secret());
    config.cors_origins = vec!["https://shop.example".parse().unwrap()];
    let env = TestEnv::with(config);
    let path = format!("/api/orders/{}", env.order());
    let token = env.token();
    let from = |origin: &str, path: &str, method: Method| {
        let request = Request::builder().method(&method).uri(path);
        let request = request.header("origin", origin);
        let request = match method {
            Method::OPTIONS => request
                .header("access-control-request-method", "POST")
                .header(
                    "access-control-request-headers",
                    "authorization,idempotency-key",
                ),
            _ => request.header("authorization", format!("Bearer {token}")),
        };
        request.body(Body::empty()).unwrap()
    };
    let (listed, other) = ("https://shop.example", "https://evil.example");
    let allowed = "access-control-allow-origin";
    let preflight = env.send(from(listed, "/api/orders", Method::OPTIONS)).await;
    assert_eq!(preflight.status, StatusCode::OK, "{}", preflight.text);
    assert_eq!(preflight.header(allowed), listed);
    let headers = preflight.header("access-control-allow-headers").to_owned();
    assert!(headers.contains("idempotency-key"), "{headers}");
    let read = env.send(from(listed, &path, Method::GET)).await;
    assert_eq!(read.status, StatusCode::OK);
    assert_eq!(read.header(allowed), listed);
    assert_eq!(read.header("access-control-allow-credentials"), "");
    let problem = env.send(from(listed, "/api/orders/123", Method::GET)).await;
    assert_eq!(problem.header(allowed), listed);
    for (origin, path) in [(other, path.as_str()), (listed, "/ops/api/overview")] {
        let read = env.send(from(origin, path, Method::GET)).await;
        assert_eq!(read.header(allowed), "", "{origin} {path}");
    }
    let without = TestEnv::new();
    let read = without.send(from(listed, &path, Method::GET)).await;
    assert_eq!(read.header(allowed), "");
}
