//! What customers are told of their orders.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::order::ActivationStatus;
use serde_json::json;

use crate::house::{OWN, TestEnv};

fn body(quantity: u32) -> String {
    json!({"items": [{"pricebookEntryId": "01u000000000001", "quantity": quantity,
        "unitPrice": 9.50, "billingCycle": "monthly"}]})
    .to_string()
}

#[tokio::test]
async fn order_is_created_once_per_idempotency_key() {
    let house = TestEnv::new();
    let token = house.token();
    let first = house.place("k1", &token, &body(1)).await;
    assert_eq!(first.status, StatusCode::CREATED, "{}", first.text);
    assert_eq!(first.json()["status"], "Pending Review");
    let again = house.place("k1", &token, &body(1)).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.json()["sfOrderId"], first.json()["sfOrderId"]);
    assert_eq!(
        house.place("k1", &token, &body(2)).await.status,
        StatusCode::CONFLICT
    );
    house.crm.lose_replies(1);
    let lost = house.place("k2", &token, &body(1)).await;
    assert_eq!(lost.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        house.place("k2", &token, &body(1)).await.status,
        StatusCode::OK
    );
    assert_eq!(house.crm.written().len(), 2);
}

#[tokio::test]
async fn many_pollers_cost_one_salesforce_read_per_half_minute() {
    let house = TestEnv::new();
    let path = format!("/api/orders/{}", house.order());
    let token = house.token();
    for _ in 0..5 {
        let all = (0..20).map(|_| house.get(&path, Some(&token)));
        for answer in futures::future::join_all(all).await {
            assert_eq!(answer.status, StatusCode::OK);
            assert_eq!(answer.json()["status"], "Activating");
            assert_eq!(answer.header("retry-after"), "5");
            assert_eq!(answer.header("cache-control"), "private, no-store");
        }
        house.clock.advance(Duration::from_secs(5));
    }
    assert_eq!(house.crm.customer_reads(), 1);
    house.clock.advance(Duration::from_secs(5));
    house.get(&path, Some(&token)).await;
    assert_eq!(house.crm.customer_reads(), 2);
}

#[tokio::test]
async fn unchanged_status_is_304() {
    let house = TestEnv::new();
    let path = format!("/api/orders/{}", house.order());
    let token = house.token();
    let first = house.get(&path, Some(&token)).await;
    house.clock.advance(Duration::from_secs(31));
    let ask = |tag: &str| {
        Request::get(&path)
            .header("authorization", format!("Bearer {token}"))
            .header("if-none-match", tag)
            .body(Body::empty())
            .unwrap()
    };
    let again = house.send(ask(first.header("etag"))).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    assert_eq!(again.text, "");
    house.put(OWN, ActivationStatus::Failed);
    house.clock.advance(Duration::from_secs(31));
    let changed = house.send(ask(first.header("etag"))).await.json();
    assert_eq!(changed["status"], "Failed");
    assert_eq!(changed["error"]["code"], "PROVISIONING_FAILED");
}

#[tokio::test]
async fn salesforce_outage_serves_store_data_with_age() {
    let house = TestEnv::new();
    let path = format!("/api/orders/{}", house.order());
    let token = house.token();
    let before = house.get(&path, Some(&token)).await.json();
    house.crm.set_unavailable(true);
    house.clock.advance(Duration::from_secs(60));
    let after = house.get(&path, Some(&token)).await.json();
    assert_eq!(after, before);
    let unknown = house.get("/api/orders/801000000000009", Some(&token)).await;
    assert_eq!(unknown.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(unknown.header("retry-after"), "5");
}

#[tokio::test]
async fn event_stream_sends_each_change_once_and_ends_with_order() {
    let house = TestEnv::new();
    let order = house.put(OWN, ActivationStatus::Activated);
    let path = format!("/api/orders/{order}/events");
    let ended = house.get(&path, Some(&house.token())).await;
    assert_eq!(ended.header("content-type"), "text/event-stream");
    assert_eq!(ended.text.matches("event: status").count(), 1);
    assert!(
        ended.text.contains("\"status\":\"Provisioned\""),
        "{}",
        ended.text
    );
}

#[tokio::test]
async fn event_stream_ends_at_shutdown() {
    let house = TestEnv::new();
    let path = format!("/api/orders/{}/events", house.order());
    house.shutdown.cancel();
    let ended = house.get(&path, Some(&house.token())).await;
    assert!(
        ended.text.contains("\"status\":\"Activating\""),
        "{}",
        ended.text
    );
}

#[tokio::test]
async fn status_page_shows_four_steps_and_sets_strict_cookie() {
    let house = TestEnv::new();
    let order = house.order();
    let token = house.token();
    let entry = house
        .get(&format!("/orders/{order}?token={token}"), None)
        .await;
    let cookie = entry.header("set-cookie").to_owned();
    for words in ["HttpOnly", "SameSite=Strict", "Secure"] {
        assert!(cookie.contains(words), "{cookie}");
    }
    assert!(!entry.text.contains(&token));
    let cookie = cookie.split(';').next().unwrap();
    let request = Request::get(format!("/orders/{order}")).header("cookie", cookie);
    let page = house.send(request.body(Body::empty()).unwrap()).await;
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
    let house = TestEnv::new();
    let order = house.put(OWN, ActivationStatus::Activated);
    let token = house.token();
    for path in [
        format!("/api/orders/{order}"),
        format!("/api/orders/{order}/events"),
        format!("/orders/{order}"),
    ] {
        let answer = house.get(&path, Some(&token)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(
            answer.header("cache-control"),
            "private, no-store",
            "{path}"
        );
    }
    let style = house.get("/assets/portal.css", None).await;
    assert_eq!(style.header("cache-control"), "public, max-age=300");
}

#[tokio::test]
async fn order_line_limit_matches_openapi_document() {
    let house = TestEnv::new();
    let document: serde_json::Value =
        serde_json::from_str(&portal_web::openapi().unwrap()).unwrap();
    let items = &document["components"]["schemas"]["NewOrder"]["properties"]["items"];
    let most = items["maxItems"].as_u64().unwrap();
    let item = json!({"pricebookEntryId": "01u000000000001", "quantity": 1});
    for (lines, expected) in [
        (most, StatusCode::CREATED),
        (most + 1, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let items: Vec<_> = (0..lines).map(|_| item.clone()).collect();
        let body = json!({"items": items}).to_string();
        let answer = house
            .place(&format!("k{lines}"), &house.token(), &body)
            .await;
        assert_eq!(answer.status, expected, "{lines}: {}", answer.text);
    }
}
