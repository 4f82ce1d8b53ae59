//! JSON is a contract: keys are only ever added to.

use serde_json::{Value, json};
use testkit::order_id;

use crate::test_env::TestEnv;

fn row(n: u32, changes: Value) -> Value {
    let mut row = json!({
        "order": order_id(n).as_str(),
        "number": format!("{n:08}"),
        "account": "001000000000001AAA",
        "whmcsOrder": null,
        "state": "succeeded",
        "code": null,
        "attempts": 1,
        "updatedAt": "T",
        "handled": null,
    });
    for (name, value) in changes.as_object().unwrap() {
        row[name] = value.clone();
    }
    row
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_list_prints_json() {
    let env = TestEnv::new().await;
    let third = json!({"number": null, "account": null, "state": "queued", "attempts": 0});
    let second = row(2, json!({"state": "failed", "code": "ORDER_EMPTY"}));
    let expected = json!([row(3, third), second, row(1, json!({"whmcsOrder": 41})),]);
    assert_eq!(env.json(&["orders", "list"]).await, expected);
    let failed = [
        "orders",
        "list",
        "--state",
        "failed",
        "--code",
        "ORDER_EMPTY",
    ];
    assert_eq!(env.json(&failed).await, json!([second]));
    let found = ["orders", "list", "--search", "41"];
    assert_eq!(env.json(&found).await[0]["number"], "00000001");
    let lines = env
        .run(&["orders", "list", "-o", "jsonl", "--limit", "2"])
        .await;
    assert_eq!(lines.out.lines().count(), 2);
    assert!(lines.err.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_show_prints_json_with_jobs_and_timeline() {
    let env = TestEnv::new().await;
    let shown = env.json(&["orders", "show", "00000002"]).await;
    let job = shown["jobs"][0]["job"].as_str().unwrap().to_owned();
    let fact =
        |fact: &str, detail: &str| json!({"at": "T", "job": job, "fact": fact, "detail": detail});
    let expected = json!({
        "order": row(2, json!({"state": "failed", "code": "ORDER_EMPTY"})),
        "wait": null,
        "jobs": [{
            "job": job, "order": order_id(2).as_str(), "state": "failed", "source": "event",
            "event": "e2", "idemKey": "k", "correlationId": "e2", "requestedBy": null,
            "requestedAt": "T", "enqueuedAt": "T", "dueAt": null, "startedAt": "T", "endedAt": "T",
        }],
        "timeline": [
            fact("checked", &format!("attempt begun by job {job}")),
            fact("refused", "ORDER_EMPTY: no products"),
            fact("reported", ""),
        ],
    });
    assert_eq!(shown, expected);
    let alone = env.json(&["jobs", "show", &job]).await;
    assert_eq!(alone, expected["jobs"][0]);
    let listed = env.json(&["jobs", "list", "--state", "failed"]).await;
    assert_eq!(listed, expected["jobs"]);
    let table = env.run(&["orders", "show", "00000002"]).await;
    assert!(table.out.contains("to do:"), "{}", table.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_gaps_and_cursor_print_json() {
    let env = TestEnv::new().await;
    let channel = "/event/OrderProvisionRequested__e";
    let dead_letters = json!([{
        "number": 1, "channel": channel, "event": "bad", "replayId": "01",
        "reason": "malformed", "detail": "3 bytes left over", "schemaId": "s", "bytes": 3,
        "fields": {}, "receivedAt": "T", "askedAt": null, "closedAt": null,
    }]);
    assert_eq!(env.json(&["events", "dead-letters"]).await, dead_letters);
    let gaps = json!([{"channel": channel, "from": null, "until": "T", "detail": "aged out"}]);
    assert_eq!(env.json(&["events", "gaps"]).await, gaps);
    let cursor = json!({
        "channel": channel,
        "cursor": {"replayId": "00ff", "committedAt": "T"},
        "leader": {"owner": "s", "epoch": 1, "leaseUntil": "T"},
        "lastEventAt": null,
        "paused": null,
        "history": [
            {"at": "T", "kind": "sampled", "replayId": "00ff", "detail": ""},
            {"at": "T", "kind": "lost", "replayId": null, "detail": "aged out"},
            {"at": "T", "kind": "term", "replayId": null, "detail": "s leads, term 1"},
        ],
    });
    assert_eq!(env.json(&["cursor", "show"]).await, cursor);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn db_status_prints_json() {
    let env = TestEnv::new().await;
    let expected = json!({
        "store": env.url(), "engine": "sqlite", "schema": "current",
        "pending": [], "unknown": [],
        "jobs": {"queued": 1, "leased": 0, "succeeded": 1, "failed": 1, "skipped": 0, "superseded": 0},
        "openDeadLetters": 1,
    });
    let mut status = env.json(&["db", "status"]).await;
    let applied = status.as_object_mut().unwrap().remove("applied").unwrap();
    let applied: Vec<i64> = serde_json::from_value(applied).unwrap();
    assert!(applied.starts_with(&[1, 2, 3]) && applied.is_sorted());
    assert_eq!(status, expected);
}
