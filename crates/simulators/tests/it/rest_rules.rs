//! What clients of others expect of OAuth and REST beyond the bridge's own calls.
use serde_json::{Value, json};
use simulators::{World, WorldOptions, salesforce::SalesforceOptions};

use crate::{Rest, assertion, log_in_with, token};

async fn world() -> World {
    World::start(WorldOptions::default()).await.unwrap()
}

fn code(body: &Value) -> &str {
    body[0]["errorCode"].as_str().unwrap_or_default()
}

fn new_order(world: &World) -> Value {
    json!({
        "AccountId": world.accounts[0].salesforce, "EffectiveDate": "2026-12-01",
        "Status": "Pending Review",
    })
}

#[tokio::test]
async fn clients_log_in_after_time_has_passed() {
    let world = world().await;
    let sim = &world.salesforce;
    let rest = Rest::new(sim).await;
    sim.pass_time(73 * 3600);
    assert_eq!(rest.call("GET", "/limits", None).await.0, 401);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let expiry = now.unwrap().as_secs() + 180;
    let (status, body) = log_in_with(sim, assertion(sim, json!({"exp": expiry}))).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn identity_url_of_a_login_is_served_by_the_org() {
    let world = world().await;
    let sim = &world.salesforce;
    let (_, login) = log_in_with(sim, assertion(sim, json!({}))).await;
    let url = login["id"].as_str().unwrap();
    assert!(url.starts_with(&sim.rest_url()), "{url}");
    let identity = reqwest::Client::new()
        .get(format!(
            "{url}?oauth_token={}",
            login["access_token"].as_str().unwrap()
        ))
        .send()
        .await
        .unwrap();
    let identity: Value = identity.json().await.unwrap();
    assert_eq!(identity["organization_id"], sim.org_id());
    assert_eq!(identity["username"], sim.login().username);
}

#[tokio::test]
async fn revoked_token_ends_its_own_session_only() {
    let world = world().await;
    let sim = &world.salesforce;
    let (rest, other) = (Rest::new(sim).await, token(sim).await);
    let answer = reqwest::Client::new()
        .post(format!("{}/services/oauth2/revoke", sim.rest_url()))
        .form(&[("token", &other)])
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(rest.call("GET", "/limits", None).await.0, 200);
    let gone = Rest {
        token: other,
        ..Rest::new(sim).await
    };
    assert_eq!(gone.call("GET", "/limits", None).await.0, 401);
}

#[tokio::test]
async fn event_with_an_unknown_or_mistyped_field_is_refused_over_rest() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let path = "/sobjects/OrderProvisionRequested__e";
    for (event, expected) in [
        (json!({"Nope__c": "x"}), "INVALID_FIELD"),
        (json!({"Version__c": "one"}), "JSON_PARSER_ERROR"),
    ] {
        let (status, body) = rest.call("POST", path, Some(event)).await;
        assert_eq!((status, code(&body)), (400, expected), "{body}");
    }
    assert!(world.salesforce.published().is_empty());
    let event = json!({"OrderId__c": "801000000000001AAA", "Version__c": 1});
    assert_eq!(rest.call("POST", path, Some(event)).await.0, 201);
}

#[tokio::test]
async fn upsert_checks_its_precondition_and_refuses_the_key_in_the_body() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let path = "/sobjects/Order/Portal_Order_Key__c/k1";
    let mut twice = new_order(&world);
    twice["Portal_Order_Key__c"] = "k1".into();
    let (status, body) = rest.call("PATCH", path, Some(twice)).await;
    assert_eq!((status, code(&body)), (400, "INVALID_FIELD"), "{body}");
    let (status, body) = rest.call("PATCH", path, Some(new_order(&world))).await;
    assert_eq!((status, &body["created"]), (201, &json!(true)));
    let stale = rest
        .request("PATCH", path)
        .header("if-unmodified-since", "Wed, 01 Jan 2020 00:00:00 GMT")
        .json(&json!({"Description": "x"}))
        .send()
        .await
        .unwrap();
    assert_eq!(stale.status(), 412);
}

#[tokio::test]
async fn row_is_deleted_by_external_id() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let path = "/sobjects/Order/Portal_Order_Key__c/k2";
    rest.call("PATCH", path, Some(new_order(&world))).await;
    assert_eq!(rest.call("DELETE", path, None).await.0, 204);
    assert_eq!(rest.call("GET", path, None).await.0, 404);
    assert_eq!(rest.call("DELETE", path, None).await.0, 404);
}

#[tokio::test]
async fn head_is_answered_like_get_without_a_body() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let id = world.place_order(0, &[(0, 1)]).unwrap();
    for (path, status) in [
        (format!("/sobjects/Order/{id}"), 200),
        ("/sobjects/Order/801000000000009AAA".to_owned(), 404),
        ("/limits".to_owned(), 200),
    ] {
        let response = rest.request("HEAD", &path).send().await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.text().await.unwrap(), "");
    }
    let versions = format!("{}/services/data", world.salesforce.rest_url());
    let versions = reqwest::Client::new().head(versions).send().await.unwrap();
    assert_eq!(versions.status(), 200);
}

#[tokio::test]
async fn collections_are_read_upserted_and_deleted() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let record = |key: &str| {
        let mut order = new_order(&world);
        order["attributes"] = json!({"type": "Order"});
        order["Portal_Order_Key__c"] = key.into();
        order
    };
    let path = "/composite/sobjects/Order/Portal_Order_Key__c";
    let body = json!({"records": [record("c1"), record("c2"), {"attributes": {"type": "Order"}}]});
    let (status, results) = rest.call("PATCH", path, Some(body)).await;
    assert_eq!(status, 200);
    assert_eq!(results[0]["created"], true);
    assert_eq!(results[2]["errors"][0]["statusCode"], "MISSING_ARGUMENT");
    let body = json!({"records": [record("c1")]});
    let (_, again) = rest.call("PATCH", path, Some(body)).await;
    assert_eq!(again[0]["created"], false);
    assert_eq!(again[0]["id"], results[0]["id"]);

    let ids = format!(
        "{},{},801000000000009AAA",
        results[0]["id"].as_str().unwrap(),
        results[1]["id"].as_str().unwrap()
    );
    let read = format!("/composite/sobjects/Order?ids={ids}&fields=Portal_Order_Key__c");
    let (_, rows) = rest.call("GET", &read, None).await;
    assert_eq!(rows[1]["Portal_Order_Key__c"], "c2");
    assert_eq!(rows[2], Value::Null);
    let (_, gone) = rest
        .call(
            "DELETE",
            &format!("/composite/sobjects?ids={ids}&allOrNone=true"),
            None,
        )
        .await;
    assert_eq!(gone[0]["success"], false);
    let (_, gone) = rest
        .call("DELETE", &format!("/composite/sobjects?ids={ids}"), None)
        .await;
    let successes: Vec<_> = (0..3).map(|at| gone[at]["success"] == true).collect();
    assert_eq!(successes, [true, true, false]);
}

#[tokio::test]
async fn composite_has_locations_and_limits() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let part = |reference: &str, url: &str| json!({"method": "GET", "referenceId": reference, "url": format!("/services/data/v66.0{url}")});
    let call = async |parts: Vec<Value>| {
        let body = json!({"compositeRequest": parts});
        rest.call("POST", "/composite", Some(body)).await
    };
    let mut create = part("made", "/sobjects/Account");
    create["method"] = "POST".into();
    create["body"] = json!({"Name": "New"});
    let (_, body) = call(vec![create]).await;
    let place = &body["compositeResponse"][0]["httpHeaders"]["Location"];
    assert!(
        place.as_str().unwrap().contains("/sobjects/Account/001"),
        "{body}"
    );

    let query = "/query?q=SELECT+Id+FROM+Account";
    let six = (0..6).map(|n| part(&format!("q{n}"), query)).collect();
    let (status, body) = call(six).await;
    assert_eq!((status, code(&body)), (400, "LIMIT_EXCEEDED"));
    for references in [["a", "a"], ["a", "not-a-name"]] {
        let parts = references.map(|name| part(name, "/limits")).to_vec();
        assert_eq!(call(parts).await.0, 400, "{references:?}");
    }
}

#[tokio::test]
async fn activated_orders_and_their_items_cannot_be_deleted() {
    let world = World::start(WorldOptions {
        salesforce: SalesforceOptions {
            provisioned_category: "Activated".to_owned(),
            ..SalesforceOptions::default()
        },
        ..WorldOptions::default()
    })
    .await
    .unwrap();
    let rest = Rest::new(&world.salesforce).await;
    let id = world.place_order(0, &[(0, 1)]).unwrap();
    let path = format!("/sobjects/Order/{id}");
    let status = json!({"Status": "Provisioned"});
    assert_eq!(rest.call("PATCH", &path, Some(status)).await.0, 204);
    let order = world.salesforce.order(&id).unwrap();
    let item = order["OrderItems"][0]["Id"].as_str().unwrap();
    let (_, body) = rest.call("DELETE", &path, None).await;
    assert_eq!(code(&body), "DELETE_FAILED");
    let (_, body) = rest
        .call("DELETE", &format!("/sobjects/OrderItem/{item}"), None)
        .await;
    assert_eq!(code(&body), "ENTITY_IS_LOCKED");
}

#[tokio::test]
async fn rows_have_owner_and_author_and_deleted_ones_are_found_by_query_all() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let id = world.place_order(0, &[(0, 1)]).unwrap();
    let soql = format!(
        "SELECT Id, OwnerId, Owner.Name, CreatedBy.Username, IsDeleted FROM Order WHERE Id = '{id}'"
    );
    let (_, found) = rest.query(&soql).await;
    let row = &found["records"][0];
    assert_eq!(row["Owner"]["Name"], "Integration User");
    assert_eq!(
        row["CreatedBy"]["Username"],
        world.salesforce.login().username
    );
    assert_eq!(row["IsDeleted"], false);
    rest.call("DELETE", &format!("/sobjects/Order/{id}"), None)
        .await;
    assert_eq!(rest.query(&soql).await.1["totalSize"], 0);
    let all = rest
        .request("GET", "/queryAll")
        .query(&[("q", &soql)])
        .send()
        .await
        .unwrap();
    let all: Value = all.json().await.unwrap();
    assert_eq!(all["records"][0]["IsDeleted"], true);
}

#[tokio::test]
async fn query_errors_name_what_was_found() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    for (soql, expected) in [
        ("SELECT Id FROM Account FOR", "unexpected token: 'FOR'"),
        ("SELECT Id", "expecting FROM, found the end of the query"),
        ("SELECT Id FROM Account LIMIT x", "unexpected token: 'x'"),
        ("SELECT FROM Account", "expecting FROM, found 'Account'"),
    ] {
        let (status, body) = rest.query(soql).await;
        assert_eq!((status, code(&body)), (400, "MALFORMED_QUERY"));
        assert_eq!(body[0]["message"], expected, "{soql}");
    }
}

#[tokio::test]
async fn managed_subscription_is_found_with_the_tooling_api() {
    let world = world().await;
    let rest = Rest::new(&world.salesforce).await;
    let managed = simulators::salesforce::ManagedSubscription::new("Bridge");
    let id = world.salesforce.set_managed(managed).unwrap();
    let soql = |name: &str| {
        format!("SELECT Id, Metadata FROM ManagedEventSubscription WHERE DeveloperName='{name}'")
    };
    for (name, size) in [("Bridge", 1), ("Other", 0)] {
        let answer = rest
            .request("GET", "/tooling/query/")
            .query(&[("q", soql(name))])
            .send()
            .await
            .unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(answer["size"], size);
        if size == 1 {
            assert_eq!(answer["records"][0]["Id"], id);
            assert_eq!(answer["records"][0]["Metadata"]["state"], "RUN");
        }
    }
}
