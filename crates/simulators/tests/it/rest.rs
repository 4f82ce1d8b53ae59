//! OAuth, rows, guards, composite, and the Flow.
use serde_json::{Value, json};
use simulators::{
    Phase, When, World, WorldOptions,
    salesforce::{Author, RestFault, RestFaultKind, Route, SalesforceOptions},
};

use crate::{Rest, assertion, log_in_with};

async fn world() -> World {
    World::start(WorldOptions::default()).await.unwrap()
}

#[tokio::test]
async fn invalid_assertions_are_rejected() {
    let world = world().await;
    let sim = &world.salesforce;
    for (overrides, error, description) in [
        (
            json!({"iss": "x"}),
            "invalid_client_id",
            "client identifier invalid",
        ),
        (
            json!({"sub": "x"}),
            "invalid_grant",
            "user hasn't approved this consumer",
        ),
        (
            json!({"aud": "https://x.example"}),
            "invalid_grant",
            "audience is invalid",
        ),
        (
            json!({"exp": 1000}),
            "invalid_grant",
            "expired authorization code",
        ),
    ] {
        let (status, body) = log_in_with(sim, assertion(sim, overrides)).await;
        assert_eq!((status, &body["error"]), (400, &json!(error)), "{body}");
        assert_eq!(body["error_description"], description);
    }
    let (status, body) = log_in_with(sim, "a.b.c".to_owned()).await;
    assert_eq!(
        (status, &body["error_description"]),
        (400, &json!("invalid assertion"))
    );
    let exp = (sim.now().as_second() + 60).to_string();
    let (status, body) = log_in_with(sim, assertion(sim, json!({"exp": exp}))).await;
    assert_eq!(status, 200);
    assert_eq!(body["instance_url"], sim.rest_url());
    assert!(body["id"].as_str().unwrap().contains(&sim.org_id()));
    assert_eq!(sim.logins(), 1);
}

#[tokio::test]
async fn revoked_token_is_rejected_and_new_one_accepted() {
    let world = world().await;
    let mut rest = Rest::new(&world.salesforce).await;
    assert_eq!(rest.call("GET", "/limits", None).await.0, 200);
    world.salesforce.revoke_tokens();
    let (status, body) = rest.call("GET", "/limits", None).await;
    assert_eq!(
        (status, &body[0]["errorCode"]),
        (401, &json!("INVALID_SESSION_ID"))
    );
    rest.token = crate::token(&world.salesforce).await;
    assert_eq!(rest.call("GET", "/limits", None).await.0, 200);
}

#[tokio::test]
async fn flow_runs_in_write_and_publishes_after_commit() {
    let world = world().await;
    let sim = &world.salesforce;
    let rest = Rest::new(sim).await;
    let id = world.place_order(0, &[(0, 2), (1, 1)]).unwrap();
    assert!(sim.published().is_empty());
    let path = format!("/sobjects/Order/{}", &id[..15]);
    let (status, body) = rest
        .call("PATCH", &path, Some(json!({"Status": "Approved"})))
        .await;
    assert_eq!((status, body), (204, Value::Null));
    let order = sim.order(&id).unwrap();
    assert_eq!(order["Activation_Status__c"], "Activating");
    assert_eq!(order["Activation_Attempt__c"], 1.0);
    assert_eq!(order["Activation_IdemKey__c"], format!("{id}-1"));
    assert_eq!(order["OrderItems"].as_array().unwrap().len(), 2);
    assert_eq!(sim.published().len(), 1);
    // Approved to Approved is not a change.
    rest.call("PATCH", &path, Some(json!({"Status": "Approved"})))
        .await;
    assert_eq!(sim.published().len(), 1);
    let failed = json!({"Status": "Failed", "Activation_Status__c": "Failed", "Activation_Error_Code__c": "INTERNAL"});
    assert_eq!(rest.call("PATCH", &path, Some(failed)).await.0, 204);
    sim.retry(&id).unwrap();
    let order = sim.order(&id).unwrap();
    assert_eq!(order["Activation_IdemKey__c"], format!("{id}-2"));
    assert_eq!(order["Activation_Error_Code__c"], Value::Null);
    assert_eq!(sim.published().len(), 2);
    assert_eq!(sim.time_to_result(&id).len(), 1);
    let flows = sim
        .history(&id)
        .iter()
        .filter(|write| write.author == Author::Flow)
        .count();
    assert_eq!(flows, 2);
}

#[tokio::test]
async fn rejected_write_changes_and_publishes_nothing() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let id = world.place_order(0, &[(0, 1)]).unwrap();
    let path = format!("/sobjects/order/{id}/");
    for (body, code) in [
        (json!({"Status": "Approved", "Nope__c": 1}), "INVALID_FIELD"),
        (
            json!({"Status": "Nonsense"}),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
        ),
        (
            json!({"Activation_Error_Code__c": "x".repeat(81)}),
            "STRING_TOO_LONG",
        ),
        (
            json!({"OrderNumber": "7"}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
        ),
        (json!({"AccountId": null}), "REQUIRED_FIELD_MISSING"),
    ] {
        let (status, answer) = rest.call("PATCH", &path, Some(body)).await;
        assert_eq!(
            (status, &answer[0]["errorCode"]),
            (400, &json!(code)),
            "{answer}"
        );
    }
    assert_eq!(
        world.salesforce.record(&id).unwrap()["Status"],
        "Pending Review"
    );
    assert!(world.salesforce.published().is_empty());
}

#[tokio::test]
async fn missing_field_is_unknown() {
    let options = SalesforceOptions::default().without_order_field("Activation_IdemKey__c");
    let world = World::start(WorldOptions {
        salesforce: options,
        ..WorldOptions::default()
    })
    .await
    .unwrap();
    let rest = Rest::new(&world.salesforce).await;
    let id = world.place_and_approve(0, &[(0, 1)]).unwrap();
    assert!(
        world
            .salesforce
            .record(&id)
            .unwrap()
            .get("Activation_IdemKey__c")
            .is_none()
    );
    let (status, body) = rest
        .call(
            "GET",
            &format!("/sobjects/Order/{id}?fields=Status,Activation_IdemKey__c"),
            None,
        )
        .await;
    assert_eq!(
        (status, &body[0]["errorCode"]),
        (400, &json!("INVALID_FIELD"))
    );
    let (_, described) = rest.call("GET", "/sobjects/Order/describe", None).await;
    let names: Vec<&str> = described["fields"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|field| field["name"].as_str())
        .collect();
    assert!(names.contains(&"Activation_Status__c"));
    assert!(!names.contains(&"Activation_IdemKey__c"));
}

#[tokio::test]
async fn stale_if_unmodified_since_is_rejected() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let id = world.place_and_approve(0, &[(0, 1)]).unwrap();
    let path = format!("/sobjects/Order/{id}");
    let read = rest.request("GET", &path).send().await.unwrap();
    let seen = read.headers()["last-modified"].to_str().unwrap().to_owned();
    assert!(read.headers().contains_key("sforce-limit-info"));
    let write = |since: String| {
        rest.request("PATCH", &path)
            .header("if-unmodified-since", since)
            .json(&json!({"Activation_Status__c": "Activated"}))
            .send()
    };
    // The header has whole seconds, so advance the clock before the concurrent write.
    world.salesforce.advance_clock(5);
    world.salesforce.set_field(&id, "PoNumber", "7").unwrap();
    let refused = write(seen).await.unwrap();
    assert_eq!(refused.status().as_u16(), 412);
    let body: Value = refused.json().await.unwrap();
    assert_eq!(
        body[0]["errorCode"],
        "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE"
    );
    let read = rest.request("GET", &path).send().await.unwrap();
    let seen = read.headers()["last-modified"].to_str().unwrap().to_owned();
    assert_eq!(write(seen).await.unwrap().status().as_u16(), 204);
}

#[tokio::test]
async fn composite_upsert_creates_order_once() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let order = json!({
        "AccountId": world.accounts[0].salesforce, "EffectiveDate": "2026-01-01",
        "Status": "Pending Review", "Pricebook2Id": world.salesforce.pricebook().unwrap(),
    });
    let request = |price: Value| {
        json!({"allOrNone": true, "compositeRequest": [
            {"method": "PATCH", "referenceId": "order", "body": order,
             "url": "/services/data/v66.0/sobjects/Order/Portal_Order_Key__c/key%2D1"},
            {"method": "POST", "referenceId": "item", "url": "/services/data/v66.0/sobjects/OrderItem",
             "body": {"OrderId": "@{order.id}", "PricebookEntryId": world.products[0].pricebook_entry,
                      "Quantity": 1, "UnitPrice": price}},
        ]})
    };
    let (status, body) = rest
        .call("POST", "/composite", Some(request(Value::Null)))
        .await;
    assert_eq!(status, 200);
    let codes = |body: &Value| -> Vec<u64> {
        let all = body["compositeResponse"].as_array().unwrap();
        all.iter()
            .map(|one| one["httpStatusCode"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(codes(&body), [400, 400], "{body}");
    assert!(world.salesforce.orders().is_empty());
    let (_, body) = rest
        .call("POST", "/composite", Some(request(json!(9.95))))
        .await;
    assert_eq!(codes(&body), [201, 201], "{body}");
    let orders = world.salesforce.orders();
    assert_eq!(orders[0]["Portal_Order_Key__c"], "key-1");
    assert_eq!(orders[0]["TotalAmount"], 9.95);
    let (status, body) = rest
        .call(
            "PATCH",
            "/sobjects/Order/Portal_Order_Key__c/key-1",
            Some(json!({"PoNumber": "9"})),
        )
        .await;
    assert_eq!((status, &body["created"]), (200, &json!(false)));
}

#[tokio::test]
async fn collections_return_result_per_record() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let id = world.place_order(0, &[(0, 1), (1, 1)]).unwrap();
    let order = world.salesforce.order(&id).unwrap();
    let item = |at: usize, value: Value| json!({"attributes": {"type": "OrderItem"}, "Id": order["OrderItems"][at]["Id"], "WHMCS_Service_ID__c": value});
    let body = |all: bool| json!({"allOrNone": all, "records": [item(0, json!("1,2")), item(1, json!("x".repeat(256)))]});
    let (status, answer) = rest
        .call("PATCH", "/composite/sobjects", Some(body(true)))
        .await;
    assert_eq!(status, 200);
    assert_eq!(
        answer[0]["errors"][0]["statusCode"],
        "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    );
    let (_, answer) = rest
        .call("PATCH", "/composite/sobjects", Some(body(false)))
        .await;
    assert_eq!(answer[0]["success"], true);
    assert_eq!(answer[1]["errors"][0]["statusCode"], "STRING_TOO_LONG");
    let order = world.salesforce.order(&id).unwrap();
    assert_eq!(order["OrderItems"][0]["WHMCS_Service_ID__c"], "1,2");
}

#[tokio::test]
async fn faults_act_before_or_after_commit() {
    let world = world().await;
    let sim = &world.salesforce;
    let rest = Rest::new(sim).await;
    let id = world.place_order(0, &[(0, 1)]).unwrap();
    let path = format!("/sobjects/Order/{id}");
    let po = |value: &str| Some(json!({"PoNumber": value}));
    sim.fault(RestFault::new(Route::OrderPatch, RestFaultKind::LockRow).when(When::Next(2)));
    for _ in 0..2 {
        let (status, body) = rest.call("PATCH", &path, po("1")).await;
        assert_eq!(
            (status, &body[0]["errorCode"]),
            (400, &json!("UNABLE_TO_LOCK_ROW"))
        );
    }
    assert_eq!(rest.call("PATCH", &path, po("1")).await.0, 204);
    sim.fault(RestFault::new(Route::OrderPatch, RestFaultKind::DropBefore));
    assert!(
        rest.request("PATCH", &path)
            .json(&po("2"))
            .send()
            .await
            .is_err()
    );
    assert_eq!(sim.record(&id).unwrap()["PoNumber"], "1");
    sim.fault(RestFault::new(Route::OrderPatch, RestFaultKind::DropAfter));
    assert!(
        rest.request("PATCH", &path)
            .json(&po("3"))
            .send()
            .await
            .is_err()
    );
    assert_eq!(sim.record(&id).unwrap()["PoNumber"], "3");
    let kind = RestFaultKind::Html {
        status: 503,
        after: true,
    };
    sim.fault(RestFault::new(Route::OrderPatch, kind));
    assert_eq!(rest.call("PATCH", &path, po("4")).await.0, 503);
    assert_eq!(sim.record(&id).unwrap()["PoNumber"], "4");
    sim.fault(RestFault::error(Route::Token, 503, "X", "y").when(When::Nth(1)));
    assert_eq!(log_in_with(sim, assertion(sim, json!({}))).await.0, 503);
}

#[tokio::test]
async fn held_write_outlives_client() {
    let world = world().await;
    let sim = &world.salesforce;
    let rest = Rest::new(sim).await;
    let id = world.place_order(0, &[(0, 1)]).unwrap();
    let hold = sim.hold(Route::OrderPatch, Phase::Before);
    let request = rest
        .request("PATCH", &format!("/sobjects/Order/{id}"))
        .json(&json!({"PoNumber": "7"}));
    let client = tokio::spawn(request.send());
    hold.arrived(1).await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    assert!(sim.record(&id).unwrap().get("PoNumber").is_none());
    hold.release();
    while sim.record(&id).unwrap().get("PoNumber").is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn data_survives_restart_on_same_port() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let port = world.salesforce.rest_port();
    world.salesforce.stop().await;
    assert!(rest.request("GET", "/limits").send().await.is_err());
    world.salesforce.restart().await.unwrap();
    assert_eq!(world.salesforce.rest_port(), port);
    assert_eq!(rest.call("GET", "/limits", None).await.0, 200);
}

#[tokio::test]
async fn activated_category_status_must_be_written_alone() {
    let world = World::start(WorldOptions {
        salesforce: SalesforceOptions {
            provisioned_category: "Activated".to_owned(),
            guard_rule: true,
            ..SalesforceOptions::default()
        },
        ..WorldOptions::default()
    })
    .await
    .unwrap();
    let rest = Rest::new(&world.salesforce).await;
    let id = world.place_and_approve(0, &[(0, 1)]).unwrap();
    let path = format!("/sobjects/Order/{id}");
    let both = json!({"Status": "Provisioned", "Activation_Status__c": "Activated"});
    let (status, body) = rest.call("PATCH", &path, Some(both)).await;
    assert_eq!(
        (status, &body[0]["errorCode"]),
        (400, &json!("FAILED_ACTIVATION"))
    );
    for one in [
        json!({"Activation_Status__c": "Activated"}),
        json!({"Status": "Provisioned"}),
    ] {
        assert_eq!(rest.call("PATCH", &path, Some(one)).await.0, 204);
    }
    let order = world.salesforce.order(&id).unwrap();
    assert_eq!(order["StatusCode"], "Activated");
    let item = format!(
        "/sobjects/OrderItem/{}",
        order["OrderItems"][0]["Id"].as_str().unwrap()
    );
    let (status, body) = rest
        .call("PATCH", &item, Some(json!({"WHMCS_Service_ID__c": "1"})))
        .await;
    assert_eq!(
        (status, &body[0]["errorCode"]),
        (400, &json!("ENTITY_IS_LOCKED"))
    );
    // The guard rule rejects a result for an order that is not being activated.
    let late = json!({"Activation_Status__c": "Failed"});
    let (status, body) = rest.call("PATCH", &path, Some(late)).await;
    assert_eq!(
        (status, &body[0]["errorCode"]),
        (400, &json!("FIELD_CUSTOM_VALIDATION_EXCEPTION"))
    );
}

#[tokio::test]
async fn same_seed_gives_same_records_and_events() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let world = world().await;
        let id = world.place_and_approve(0, &[(0, 1)]).unwrap();
        let record = world.salesforce.record(&id).unwrap();
        let event = world.salesforce.published().remove(0);
        runs.push((
            id,
            record["Activation_Correlation_Id__c"].clone(),
            event.event_id,
            event.replay_id,
        ));
    }
    assert_eq!(runs[0], runs[1]);
}
