//! What a token permits.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::order::ActivationStatus;
use portal_web::TokenKeys;
use serde_json::{Value, json};

use crate::test_env::{OWN, Response, TestEnv, config, secret, signed};

const READS: [&str; 3] = ["/api/orders/{}", "/api/orders/{}/events", "/orders/{}"];

fn order_body() -> Value {
    json!({"items": [{"pricebookEntryId": "01u000000000001", "quantity": 1}]})
}

fn token_with(env: &TestEnv, claim: &str, value: Value) -> String {
    let mut claims = env.claims();
    claims[claim] = value;
    signed(&claims)
}

async fn by_cookie(env: &TestEnv, path: &str, token: &str) -> Response {
    let cookie = format!("__Host-portal_token={token}");
    let request = Request::get(path).header("cookie", cookie);
    env.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn scopes_limit_what_a_token_may_do() {
    let env = TestEnv::new();
    let order = env.put(OWN, ActivationStatus::Activated);
    for (scope, reads, writes) in [
        (json!("orders:read"), true, false),
        (json!("orders:write"), false, true),
        (json!("openid orders:read orders:write"), true, true),
        (json!(["orders:read"]), true, false),
        (json!(["openid", "orders:write"]), false, true),
        (json!(["orders:read orders:write"]), false, false),
        (json!("orders:price"), false, false),
        (json!(""), false, false),
        (json!([]), false, false),
    ] {
        let token = token_with(&env, "scope", scope.clone());
        for route in READS {
            let path = route.replace("{}", order.as_str());
            let expected = if reads {
                StatusCode::OK
            } else {
                StatusCode::FORBIDDEN
            };
            let read = env.get(&path, Some(&token)).await;
            assert_eq!(read.status, expected, "{scope}: {path}");
            let read = by_cookie(&env, &path, &token).await;
            assert_eq!(read.status, expected, "{scope}, cookie: {path}");
        }
        let expected = if writes {
            StatusCode::CREATED
        } else {
            StatusCode::FORBIDDEN
        };
        let key = format!("k{scope}").replace('"', "");
        let placed = env.place(&key, &token, &order_body().to_string()).await;
        assert_eq!(placed.status, expected, "{scope}: {}", placed.text);
    }
    let malformed = token_with(&env, "scope", json!(7));
    let read = env
        .get(&format!("/api/orders/{order}"), Some(&malformed))
        .await;
    assert_eq!(read.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn token_of_one_order_reads_that_order_alone() {
    let env = TestEnv::new();
    let order = env.put(OWN, ActivationStatus::Activated);
    let own = token_with(&env, "order_id", json!(order.as_str()));
    let short = token_with(&env, "order_id", json!(&order.as_str()[..15]));
    let other = token_with(&env, "order_id", json!("801000000000002"));
    for route in READS {
        let path = route.replace("{}", order.as_str());
        for token in [&own, &short] {
            assert_eq!(env.get(&path, Some(token)).await.status, StatusCode::OK);
        }
        let refused = env.get(&path, Some(&other)).await;
        assert_eq!(refused.status, StatusCode::NOT_FOUND, "{path}");
        let link = format!("/orders/{order}?token={other}");
        assert_eq!(env.get(&link, None).await.status, StatusCode::NOT_FOUND);
    }
    let placed = env.place("k", &own, &order_body().to_string()).await;
    assert_eq!(placed.status, StatusCode::FORBIDDEN);
    let malformed = token_with(&env, "order_id", json!("x"));
    let refused = env
        .get(&format!("/api/orders/{order}"), Some(&malformed))
        .await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn own_price_is_refused_by_default() {
    let env = TestEnv::new();
    let mut body = order_body();
    body["items"][0]["unitPrice"] = json!(0.01);
    for scope in ["orders:write", "orders:write orders:price"] {
        let token = token_with(&env, "scope", json!(scope));
        let placed = env.place("k", &token, &body.to_string()).await;
        assert_eq!(placed.status, StatusCode::UNPROCESSABLE_ENTITY, "{scope}");
        assert!(placed.text.contains("unitPrice"), "{}", placed.text);
    }
    assert!(env.crm.written().is_empty());
}

#[tokio::test]
async fn own_price_needs_the_setting_and_the_scope() {
    let prices = |keys: TokenKeys| {
        let mut config = config(keys);
        config.accept_prices = true;
        TestEnv::with(config)
    };
    let env = prices(secret());
    let mut body = order_body();
    body["items"][0]["unitPrice"] = json!(9.50);
    for (scope, expected) in [
        (None, StatusCode::UNPROCESSABLE_ENTITY),
        (Some("orders:write"), StatusCode::UNPROCESSABLE_ENTITY),
        (Some("orders:write orders:price"), StatusCode::CREATED),
    ] {
        let token = token_with(&env, "scope", json!(scope));
        let placed = env.place("k", &token, &body.to_string()).await;
        assert_eq!(placed.status, expected, "{scope:?}: {}", placed.text);
    }
    let env = prices(TokenKeys::Nobody);
    body["accountId"] = json!(OWN);
    let placed = env.place("k", "", &body.to_string()).await;
    assert_eq!(placed.status, StatusCode::CREATED, "{}", placed.text);
}

#[tokio::test]
async fn previous_secret_is_accepted_beside_the_current_one() {
    let env = TestEnv::with(config(TokenKeys::Secret {
        current: settings::Secret::new("another secret, also 32 bytes long").into(),
        previous: Some(settings::Secret::new(crate::test_env::SECRET).into()),
    }));
    let path = format!("/api/orders/{}", env.order());
    let read = env.get(&path, Some(&env.token())).await;
    assert_eq!(read.status, StatusCode::OK);
    let key = jsonwebtoken::EncodingKey::from_secret(b"another secret, also 32 bytes long");
    let token = jsonwebtoken::encode(&Default::default(), &env.claims(), &key).unwrap();
    assert_eq!(env.get(&path, Some(&token)).await.status, StatusCode::OK);
    let key = jsonwebtoken::EncodingKey::from_secret(b"a third secret, also 32 bytes long");
    let token = jsonwebtoken::encode(&Default::default(), &env.claims(), &key).unwrap();
    let refused = env.get(&path, Some(&token)).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
}
