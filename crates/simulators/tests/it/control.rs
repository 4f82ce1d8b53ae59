//! The control API.
use std::sync::Arc;

use serde_json::{Value, json};
use simulators::{Control, World, WorldOptions};

#[tokio::test]
async fn control_api_covers_both_simulators() {
    let world = Arc::new(World::start(WorldOptions::default()).await.unwrap());
    let control = Control::start(world.clone(), 0).await.unwrap();
    let http = reqwest::Client::new();
    let url = control.url();
    let post = async |path: &str, body: Value| -> (u16, Value) {
        let response = http
            .post(format!("{url}{path}"))
            .json(&body)
            .send()
            .await
            .unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    };
    let get = async |path: &str| -> Value {
        http.get(format!("{url}{path}"))
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap()
    };
    let (_, placed) = post(
        "/orders",
        json!({"account": 1, "lines": [[0, 2]], "approve": true}),
    )
    .await;
    let id = placed["id"].as_str().unwrap();
    assert_eq!(
        post(&format!("/orders/{id}/cancel"), json!({})).await.0,
        200
    );
    assert_eq!(
        post("/orders/801000000000001AAA/approve", json!({}))
            .await
            .0,
        404
    );
    let read = get(&format!("/books/salesforce/{id}")).await;
    assert_eq!(read["order"]["Status"], "Cancelled");
    assert_eq!(get("/books/salesforce").await["orders"][0]["Id"], id);
    let (_, event) = post("/events/raw", json!({"hex": "ffff"})).await;
    assert!(event["replay_id"].is_string());
    for (path, body) in [
        (
            "/faults/salesforce",
            json!({"route": "order_patch", "when": {"next": 2}, "kind": "lock_row"}),
        ),
        (
            "/faults/salesforce",
            json!({"route": "token", "when": "always", "kind": "token_refused", "error": "a", "description": "b"}),
        ),
        (
            "/faults/stream",
            json!({"kind": "status", "code": "UNAVAILABLE", "error_code": ""}),
        ),
        ("/faults/stream/now", json!({"kind": "end"})),
        (
            "/faults/unary",
            json!({"rpc": "GetSchema", "code": "UNAVAILABLE", "error_code": ""}),
        ),
        (
            "/faults/whmcs",
            json!({"id": "F09", "action": "AddOrder", "when": {"chance": 0.5}, "delay_ms": 5}),
        ),
        (
            "/faults/whmcs",
            json!({"id": "hold_before", "text": "here"}),
        ),
        ("/holds/here/release", json!({})),
        (
            "/knobs",
            json!({"whmcs": {"notes_stored": false, "version": "9.0"}, "bus": {"keepalive_ms": 5}, "clock_seconds": 5,
            "modules": {"1": {"script": {"kind": "fail", "text": "x", "times": 1}}}}),
        ),
    ] {
        let (status, answer) = post(path, body).await;
        assert_eq!(status, 200, "{path}: {answer}");
    }
    assert!(!world.whmcs.runtime().notes_stored);
    assert_eq!(
        post("/knobs", json!({"whmcs": {"version": "1"}})).await.0,
        400
    );
    assert!(
        http.delete(format!("{url}/faults"))
            .send()
            .await
            .unwrap()
            .status()
            .is_success()
    );
    assert_eq!(get("/oracle").await["duplicates"], json!({}));
    assert!(get("/calls").await["counts"].is_object());
    assert_eq!(
        get("/books/whmcs").await["clients"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    let docs = http.get(&url).send().await.unwrap().text().await.unwrap();
    assert!(docs.contains("/faults/whmcs"));
}
