//! The customer API and the status page.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::order::ActivationStatus;
use serde_json::json;

use crate::test_env::{OWN, TestEnv};

fn body(quantity: u32) -> String {
    json!({"items": [{"pricebookEntryId": "01u000000000001", "quantity": quantity,
        "billingCycle": "monthly"}]})
    .to_string()
}

#[tokio::test]
async fn order_is_created_once_per_idempotency_key() {
    let env = TestEnv::new();
    let token = env.token();
    let first = env.place("k1", &token, &body(1)).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    assert_eq!(first.json()["status"], "Pending Review");
    let again = env.place("k1", &token, &body(1)).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.json()["sfOrderId"], first.json()["sfOrderId"]);
    assert_eq!(
        env.place("k1", &token, &body(2)).await.status,
        StatusCode::CONFLICT
    );
    env.crm.lose_replies(1);
    let lost = env.place("k2", &token, &body(1)).await;
    assert_eq!(lost.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        env.place("k2", &token, &body(1)).await.status,
        StatusCode::OK
    );
    assert_eq!(env.crm.written().len(), 2);
}

#[tokio::test]
async fn many_pollers_cost_one_salesforce_read_per_half_minute() {
    let env = TestEnv::new();
    let path = format!("/api/orders/{}", env.order());
    let token = env.token();
    for _ in 0..5 {
        let all = (0..20).map(|_| env.get(&path, Some(&token)));
        for response in futures::future::join_all(all).await {
            assert_eq!(response.status, StatusCode::OK);
            assert_eq!(response.json()["status"], "Activating");
            assert_eq!(response.header("retry-after"), "5");
            assert_eq!(response.header("cache-control"), "private, no-store");
        }
        env.clock.advance(Duration::from_secs(5));
    }
    assert_eq!(env.crm.customer_reads(), 1);
    env.clock.advance(Duration::from_secs(5));
    env.get(&path, Some(&token)).await;
    assert_eq!(env.crm.customer_reads(), 2);
}

#[tokio::test]
async fn unchanged_status_is_304() {
    let env = TestEnv::new();
    let path = format!("/api/orders/{}", env.order());
    let token = env.token();
    let first = env.get(&path, Some(&token)).await;
    env.clock.advance(Duration::from_secs(31));
    let request = |tag: &str| {
        Request::get(&path)
            .header("authorization", format!("Bearer {token}"))
            .header("if-none-match", tag)
            .body(Body::empty())
            .unwrap()
    };
    let again = env.send(request(first.header("etag"))).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert_eq!(again.text, "");
    env.put(OWN, ActivationStatus::Failed);
    env.clock.advance(Duration::from_secs(31));
    let changed = env.send(request(first.header("etag"))).await.json();
    assert_eq!(changed["status"], "Failed");
    assert_eq!(changed["error"]["code"], "PROVISIONING_FAILED");
}

#[tokio::test]
async fn salesforce_outage_serves_store_data_with_age() {
    let env = TestEnv::new();
    let path = format!("/api/orders/{}", env.order());
    let token = env.token();
    let before = env.get(&path, Some(&token)).await.json();
    env.crm.set_unavailable(true);
    env.clock.advance(Duration::from_secs(60));
    let after = env.get(&path, Some(&token)).await.json();
    assert_eq!(after, before);
    let unknown = env.get("/api/orders/801000000000009", Some(&token)).await;
    assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(unknown.header("retry-after"), "5");
}

#[tokio::test]
async fn event_stream_sends_each_change_once_and_ends_with_order() {
    let env = TestEnv::new();
    let order = env.put(OWN, ActivationStatus::Activated);
    let path = format!("/api/orders/{order}/events");
    let stream = env.get(&path, Some(&env.token())).await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    assert_eq!(stream.text.matches("event: status").count(), 1);
    assert!(
        stream.text.contains("\"status\":\"Provisioned\""),
        "{}",
        stream.text
    );
}

#[tokio::test]
async fn event_stream_ends_at_shutdown() {
    let env = TestEnv::new();
    let path = format!("/api/orders/{}/events", env.order());
    env.shutdown.cancel();
    let stream = env.get(&path, Some(&env.token())).await;
    assert!(
        stream.text.contains("\"status\":\"Activating\""),
        "{}",
        stream.text
    );
}

#[tokio::test]
async fn status_page_shows_four_steps_and_sets_strict_cookie() {
    let env = TestEnv::new();
    let order = env.order();
    let token = env.token();
    let entry = env
        .get(&format!("/orders/{order}?token={token}"), None)
        .await;
    let cookie = entry.header("set-cookie").to_owned();
    for words in ["HttpOnly", "SameSite=Strict", "Secure"] {
        assert!(cookie.contains(words), "{cookie}");
    }
    assert!(!entry.text.contains(&token));
    let cookie = cookie.split(';').next().unwrap();
    let request = Request::get(format!("/orders/{order}")).header("cookie", cookie);
    let page = env.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.text.matches("<li class=").count(), 4, "{}", page.text);
    assert!(
        page.text
            .contains("<li class=\"now\" aria-current=\"step\">Being set up")
    );
    assert!(page.text.contains("<noscript><meta http-equiv=\"refresh\""));
}

#[tokio::test]
async fn responses_about_orders_are_not_cacheable() {
    let env = TestEnv::new();
    let order = env.put(OWN, ActivationStatus::Activated);
    let token = env.token();
    for path in [
        format!("/api/orders/{order}"),
        format!("/api/orders/{order}/events"),
        format!("/orders/{order}"),
    ] {
        let response = env.get(&path, Some(&token)).await;
        assert_eq!(response.status, StatusCode::OK, "{path}");
        assert_eq!(
            response.header("cache-control"),
            "private, no-store",
            "{path}"
        );
    }
    let style = env.get("/assets/portal.css", None).await;
    assert_eq!(style.header("cache-control"), "public, max-age=300");
}

#[tokio::test]
async fn order_line_limit_matches_openapi_document() {
    let env = TestEnv::new();
    let document: serde_json::Value =
        serde_json::from_str(&portal_web::openapi().unwrap()).unwrap();
    let items = &document["components"]["schemas"]["NewOrder"]["properties"]["items"];
    let max_items = items["maxItems"].as_u64().unwrap();
    let item = json!({"pricebookEntryId": "01u000000000001", "quantity": 1});
    for (lines, expected) in [
        (max_items, StatusCode::CREATED),
        (max_items + 1, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let items: Vec<_> = (0..lines).map(|_| item.clone()).collect();
        let body = json!({"items": items}).to_string();
        let response = env.place(&format!("k{lines}"), &env.token(), &body).await;
        assert_eq!(response.status, expected, "{lines}: {}", response.text);
    }
}
