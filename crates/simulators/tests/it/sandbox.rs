//! What the control API offers beside orders and faults.
use std::sync::Arc;

use serde_json::{Value, json};
use simulators::{Control, World, WorldOptions};

use crate::Rest;

struct Sandbox {
    world: Arc<World>,
    control: Control,
    http: reqwest::Client,
}

impl Sandbox {
    async fn start() -> Self {
        let world = Arc::new(World::start(WorldOptions::default()).await.unwrap());
        let control = Control::start(world.clone(), 0).await.unwrap();
        let http = reqwest::Client::new();
        Self {
            world,
            control,
            http,
        }
    }

    async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.control.url());
        let mut request = self.http.request(method.parse().unwrap(), url);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        self.call("GET", path, None).await.1
    }
}

#[tokio::test]
async fn wrong_fields_are_refused_by_name_and_change_nothing() {
    let sandbox = Sandbox::start().await;
    for (path, body, field) in [
        ("/knobs", json!({"speed": 1}), "speed"),
        (
            "/knobs",
            json!({"bus": {"keepalve_ms": 1}}),
            "bus.keepalve_ms",
        ),
        (
            "/knobs",
            json!({"bus": {"keepalive_ms": "x"}}),
            "bus.keepalive_ms",
        ),
        ("/knobs", json!({"whmcs": {"notes": true}}), "whmcs.notes"),
        (
            "/knobs",
            json!({"whmcs": {"notes_stored": false, "version": "1"}}),
            "whmcs.version",
        ),
        (
            "/knobs",
            json!({"modules": {"77": {"script": {"kind": "ok"}}}}),
            "modules.77",
        ),
        (
            "/faults/salesforce",
            json!({"route": "token", "kind": "lock_row", "wen": 1}),
            "wen",
        ),
        ("/faults/whmcs", json!({"id": "F09", "delay": 5}), "delay"),
        ("/orders", json!({"lines": [[0, "x"]]}), "lines[0][1]"),
        ("/orders", json!({"acount": 1}), "acount"),
    ] {
        let (status, problem) = sandbox.call("POST", path, Some(body)).await;
        assert_eq!(
            (status, &problem["field"]),
            (400, &json!(field)),
            "{problem}"
        );
    }
    let response = sandbox
        .http
        .post(format!("{}/knobs", sandbox.control.url()))
        .json(&json!({"speed": 1}))
        .send()
        .await
        .unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert!(sandbox.world.whmcs.runtime().notes_stored);
    assert_eq!(sandbox.get("/faults").await["whmcs"], json!([]));
    assert_eq!(sandbox.call("GET", "/nowhere", None).await.0, 404);
}

#[tokio::test]
async fn body_of_another_type_is_refused() {
    let sandbox = Sandbox::start().await;
    let url = format!("{}/orders", sandbox.control.url());
    let answer = sandbox.http.post(url).body("{}").send().await.unwrap();
    assert_eq!(answer.status(), 415);
}

#[tokio::test]
async fn knobs_and_faults_are_listed_with_what_was_set() {
    let sandbox = Sandbox::start().await;
    let knobs = json!({"bus": {"keepalive_ms": 123}, "whmcs": {"version": "9.0"}});
    assert_eq!(sandbox.call("POST", "/knobs", Some(knobs)).await.0, 200);
    let knobs = sandbox.get("/knobs").await;
    assert_eq!(knobs["bus"]["keepalive_ms"], 123);
    assert_eq!(knobs["whmcs"]["version"], "9.0");
    assert_eq!(knobs["modules"]["1"]["script"]["kind"], "ok");
    for (path, body) in [
        (
            "/faults/salesforce",
            json!({"route": "limits", "kind": "lock_row", "when": "always"}),
        ),
        ("/faults/whmcs", json!({"id": "F09", "action": "AddOrder"})),
        ("/faults/stream", json!({"kind": "end"})),
        (
            "/faults/unary",
            json!({"rpc": "GetTopic", "code": "INTERNAL", "error_code": ""}),
        ),
    ] {
        let (status, answer) = sandbox.call("POST", path, Some(body)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let rest = Rest::new(&sandbox.world.salesforce).await;
    assert_eq!(rest.call("GET", "/limits", None).await.0, 400);
    let faults = sandbox.get("/faults").await;
    assert_eq!(faults["salesforce"][0]["kind"], "lock_row");
    assert_eq!(faults["salesforce"][0]["matched"], 1);
    for system in ["whmcs", "stream", "unary"] {
        assert_eq!(faults[system].as_array().unwrap().len(), 1, "{system}");
    }
    sandbox.call("DELETE", "/faults", None).await;
    assert_eq!(sandbox.get("/faults").await["salesforce"], json!([]));
}

#[tokio::test]
async fn calls_are_filtered_and_limited_to_the_newest() {
    let sandbox = Sandbox::start().await;
    let rest = Rest::new(&sandbox.world.salesforce).await;
    for path in ["/limits", "/sobjects", "/nope", "/limits"] {
        rest.call("GET", path, None).await;
    }
    let count = async |query: &str| {
        let answer = sandbox.get(&format!("/calls?{query}")).await;
        answer["salesforce"].as_array().map(Vec::len)
    };
    assert_eq!(count("route=limits").await, Some(2));
    assert_eq!(count("status=404").await, Some(1));
    assert_eq!(count("path=sobj&method=get").await, Some(1));
    assert_eq!(count("limit=3").await, Some(3));
    assert_eq!(count("system=whmcs").await, None);
    let newest = sandbox.get("/calls?limit=1").await;
    assert_eq!(newest["salesforce"][0]["route"], "limits");
    for (query, field) in [
        ("nope=1", "nope"),
        ("limit=x", "limit"),
        ("system=x", "system"),
    ] {
        let (status, problem) = sandbox.call("GET", &format!("/calls?{query}"), None).await;
        assert_eq!((status, &problem["field"]), (400, &json!(field)));
    }
}

#[tokio::test]
async fn records_of_both_systems_are_created_read_and_deleted() {
    let sandbox = Sandbox::start().await;
    let body = Some(json!({"Name": "Own"}));
    let (status, made) = sandbox.call("POST", "/records/Account", body).await;
    assert_eq!(status, 200, "{made}");
    let path = format!("/records/{}", made["id"].as_str().unwrap());
    assert_eq!(sandbox.get(&path).await["Name"], "Own");
    assert_eq!(
        sandbox
            .get("/records/Account")
            .await
            .as_array()
            .unwrap()
            .len(),
        4
    );
    assert_eq!(sandbox.call("DELETE", &path, None).await.0, 200);
    assert_eq!(sandbox.call("GET", &path, None).await.0, 404);
    let (status, problem) = sandbox
        .call("POST", "/records/Account", Some(json!({"Nope": 1})))
        .await;
    assert_eq!((status, &problem["title"]), (400, &json!("INVALID_FIELD")));

    let client = json!({"firstname": "A", "lastname": "B", "email": "a@b.example"});
    let (_, made) = sandbox.call("POST", "/whmcs/clients", Some(client)).await;
    assert_eq!(made["id"], 4);
    let product = json!({"pid": 50, "name": "Own", "gid": 3, "prices": {"monthly": 2.5}});
    sandbox.call("POST", "/whmcs/products", Some(product)).await;
    let products = sandbox.world.whmcs.products();
    assert_eq!(products.last().unwrap().gid, 3);
    assert_eq!(
        sandbox.call("POST", "/whmcs/orders/9/cancel", None).await.0,
        404
    );
}

#[tokio::test]
async fn snapshot_brings_back_records_tables_and_events() {
    let sandbox = Sandbox::start().await;
    let order = json!({"approve": true});
    let (_, placed) = sandbox.call("POST", "/orders", Some(order)).await;
    let id = placed["id"].as_str().unwrap();
    sandbox.world.whmcs.foreign_order(1);
    let snapshot = sandbox.get("/snapshot").await;
    let before = (
        sandbox.get("/books/salesforce").await,
        sandbox.get("/books/whmcs").await,
        sandbox.get("/events").await,
        sandbox.get(&format!("/books/salesforce/{id}")).await,
    );
    assert_eq!(before.2[0]["fields"]["OrderId__c"], id);

    let other = Sandbox::start().await;
    let (status, answer) = other.call("PUT", "/snapshot", Some(snapshot.clone())).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(other.get("/books/salesforce").await, before.0);
    assert_eq!(other.get("/books/whmcs").await, before.1);
    assert_eq!(other.get("/events").await, before.2);
    assert_eq!(
        other.get(&format!("/books/salesforce/{id}")).await,
        before.3
    );
    // The next records have new ids.
    let (_, next) = other.call("POST", "/orders", Some(json!({}))).await;
    assert_ne!(next["id"], placed["id"]);

    let mut wrong = snapshot;
    wrong["products"] = 9.into();
    let (status, problem) = other.call("PUT", "/snapshot", Some(wrong)).await;
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().contains("--products 9"));
}

#[tokio::test]
async fn large_snapshot_is_put_back() {
    let sandbox = Sandbox::start().await;
    let description = "x".repeat(30_000);
    for _ in 0..100 {
        let order = json!({"fields": {"Description": description}});
        sandbox.call("POST", "/orders", Some(order)).await;
    }
    let snapshot = sandbox.get("/snapshot").await;
    assert!(snapshot.to_string().len() > 3_000_000);
    let (status, answer) = sandbox.call("PUT", "/snapshot", Some(snapshot)).await;
    assert_eq!(status, 200, "{answer}");
}

#[tokio::test]
async fn reset_goes_back_to_the_start() {
    let sandbox = Sandbox::start().await;
    let start = (
        sandbox.get("/books/salesforce").await,
        sandbox.get("/books/whmcs").await,
    );
    sandbox
        .call("POST", "/orders", Some(json!({"approve": true})))
        .await;
    let fault = json!({"id": "F09"});
    sandbox.call("POST", "/faults/whmcs", Some(fault)).await;
    let rest = Rest::new(&sandbox.world.salesforce).await;
    assert_eq!(sandbox.call("POST", "/reset", None).await.0, 200);
    assert_eq!(sandbox.get("/books/salesforce").await, start.0);
    assert_eq!(sandbox.get("/books/whmcs").await, start.1);
    assert_eq!(sandbox.get("/events").await, json!([]));
    assert_eq!(sandbox.get("/faults").await["whmcs"], json!([]));
    assert_eq!(sandbox.get("/calls").await["salesforce"], json!([]));
    // Sessions live on.
    assert_eq!(rest.call("GET", "/limits", None).await.0, 200);
}

#[tokio::test]
async fn seed_adds_all_or_nothing_and_resolves_names() {
    let sandbox = Sandbox::start().await;
    let seed = json!({
        "clients": [{"name": "acme", "firstname": "A", "lastname": "B", "email": "a@acme.example"}],
        "products": [{"pid": 60, "name": "Seeded"}],
        "records": [
            {"object": "Account", "name": "account", "fields": {"Name": "Acme", "WHMCS_Client_ID__c": "@{acme}"}},
            {"object": "Contact", "fields": {"AccountId": "@{account}", "LastName": "B"}},
        ],
        "orders": [{"approve": true}],
    });
    let (status, answer) = sandbox.call("POST", "/seed", Some(seed)).await;
    assert_eq!(status, 200, "{answer}");
    let account = answer["ids"]["account"].as_str().unwrap();
    let read = sandbox.get(&format!("/records/{account}")).await;
    assert_eq!(read["WHMCS_Client_ID__c"], answer["ids"]["acme"]);
    assert_eq!(sandbox.world.salesforce.published().len(), 1);

    let before = sandbox.get("/books/salesforce").await;
    let broken = json!({"records": [
        {"object": "Account", "fields": {"Name": "Half"}},
        {"object": "Contact", "fields": {"AccountId": "@{nobody}", "LastName": "B"}},
    ]});
    let (status, problem) = sandbox.call("POST", "/seed", Some(broken)).await;
    assert_eq!(status, 400);
    let detail = problem["detail"].as_str().unwrap();
    assert!(
        detail.contains("records[1] (Contact)") && detail.contains("`nobody`"),
        "{detail}"
    );
    assert_eq!(sandbox.get("/books/salesforce").await, before);
}

#[tokio::test]
async fn managed_subscriptions_are_added_and_listed() {
    let sandbox = Sandbox::start().await;
    let body = json!({"developer_name": "Bridge", "default_replay": "LATEST"});
    let (_, made) = sandbox.call("POST", "/managed", Some(body)).await;
    let one = sandbox.get("/managed/Bridge").await;
    assert_eq!(one["id"], made["id"]);
    assert_eq!(sandbox.get("/managed").await, json!([one]));
    assert_eq!(sandbox.call("GET", "/managed/Other", None).await.0, 404);
}

#[tokio::test]
async fn page_and_probes_are_served() {
    let sandbox = Sandbox::start().await;
    for path in ["/livez", "/readyz"] {
        assert_eq!(sandbox.get(path).await["status"], "ok");
    }
    let ask = async |path: &str, accept: &str| {
        let url = format!("{}{path}", sandbox.control.url());
        let request = sandbox.http.get(url).header("accept", accept);
        request.send().await.unwrap()
    };
    for (path, accept) in [("/", "text/html,*/*"), ("/ui", "*/*")] {
        let page = ask(path, accept).await;
        assert!(page.headers().contains_key("content-security-policy"));
        assert!(
            page.text()
                .await
                .unwrap()
                .contains("<title>Sandbox</title>")
        );
    }
    let text = ask("/", "*/*").await.text().await.unwrap();
    assert!(text.starts_with("GET    /"), "{text}");
}
