//! Denied requests, on every route.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::order::ActivationStatus;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portal_web::TokenKeys;
use serde_json::json;

use crate::test_env::{OTHER, OWN, TestEnv, config, signed};

pub(crate) const KEY: &[u8] = include_bytes!("../../../simulators/keys/simulator-only.pem");
const ROUTES: [&str; 3] = ["/api/orders/{}", "/api/orders/{}/events", "/orders/{}"];

#[tokio::test]
async fn invalid_token_is_denied_everywhere() {
    let env = TestEnv::new();
    let order = env.order();
    let with = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut claims = env.claims();
        edit(&mut claims);
        signed(&claims)
    };
    let unsigned = {
        // {"alg":"none","typ":"JWT"}
        let good = env.token();
        let claims = good.split('.').nth(1).unwrap().to_owned();
        format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{claims}.")
    };
    let table = [
        ("no token", None),
        ("rubbish", Some("x.y.z".to_owned())),
        (
            "expired",
            Some(with(&|claims| claims["exp"] = json!(1_000))),
        ),
        (
            "no expiry",
            Some(with(&|claims| {
                drop(claims.as_object_mut().unwrap().remove("exp"));
            })),
        ),
        (
            "wrong audience",
            Some(with(&|claims| claims["aud"] = json!("elsewhere"))),
        ),
        (
            "no audience",
            Some(with(&|claims| {
                drop(claims.as_object_mut().unwrap().remove("aud"));
            })),
        ),
        (
            "no account",
            Some(with(&|claims| {
                drop(claims.as_object_mut().unwrap().remove("account_id"));
            })),
        ),
        (
            "malformed account",
            Some(with(&|claims| {
                claims["account_id"] = json!("801000000000001");
            })),
        ),
        ("alg=none", Some(unsigned)),
        (
            "another secret",
            Some({
                let key = EncodingKey::from_secret(b"another secret, also 32 bytes long");
                jsonwebtoken::encode(&Header::new(Algorithm::HS256), &env.claims(), &key).unwrap()
            }),
        ),
        (
            "another algorithm",
            Some({
                let key = EncodingKey::from_rsa_pem(KEY).unwrap();
                jsonwebtoken::encode(&Header::new(Algorithm::RS256), &env.claims(), &key).unwrap()
            }),
        ),
    ];
    for (name, token) in table {
        for route in ROUTES {
            let path = route.replace("{}", order.as_str());
            let response = env.get(&path, token.as_deref()).await;
            assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{name}: {path}");
            assert!(!response.text.contains("00000101"), "{name}: {path}");
        }
        let placed = env
            .place("k", token.as_deref().unwrap_or("none"), "{}")
            .await;
        assert_eq!(placed.status, StatusCode::UNAUTHORIZED, "{name}");
    }
    assert_eq!(env.crm.calls(), 0);
}

#[tokio::test]
async fn foreign_order_answers_exactly_like_missing_order() {
    let env = TestEnv::new();
    let order = env.put(OTHER, ActivationStatus::Activated);
    let token = env.token();
    for route in ROUTES {
        let foreign = env
            .get(&route.replace("{}", order.as_str()), Some(&token))
            .await;
        let unknown = env
            .get(&route.replace("{}", "80100000000000Z"), Some(&token))
            .await;
        assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{route}");
        assert_eq!(foreign.status, unknown.status);
        assert_eq!(foreign.text, unknown.text);
        assert_eq!(foreign.headers, unknown.headers);
    }
}

#[tokio::test]
async fn every_other_error_is_a_problem_document() {
    let env = TestEnv::new();
    env.order();
    let token = env.token();
    let check = |response: &crate::test_env::Response, status: u16| {
        assert_eq!(response.status.as_u16(), status, "{}", response.text);
        assert_eq!(response.header("content-type"), "application/problem+json");
        assert_eq!(response.json()["status"], status);
        assert_eq!(response.header("x-content-type-options"), "nosniff");
        assert!(
            response
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
    };
    check(&env.get("/api/orders/123", Some(&token)).await, 400);
    check(&env.get("/nowhere", None).await, 404);
    check(&env.get("/api/orders", Some(&token)).await, 405);
    check(&env.get("/ops", Some(&token)).await, 404);
    let huge = format!("{{\"items\":[],\"x\":\"{}\"}}", "y".repeat(70_000));
    check(&env.place("k", &token, &huge).await, 413);
    check(&env.place("", &token, "{}").await, 400);
    check(&env.place("k", &token, "not json").await, 400);
    check(&env.place("k", &token, "{\"items\":[]}").await, 422);
    let foreign = json!({"accountId": OTHER, "items": []}).to_string();
    check(&env.place("k", &token, &foreign).await, 403);
    let form = Request::post("/api/orders")
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", "k");
    check(&env.send(form.body(Body::from("a=b")).unwrap()).await, 415);
    // What the framework itself rejects.
    check(&env.get("/api/orders/%ff", Some(&token)).await, 400);
    check(&env.get("/ops/orders?q=a&q=b", None).await, 400);
    let huge = Request::post("/ops/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from("y".repeat(5_000)));
    check(&env.send(huge.unwrap()).await, 413);
    let json = Request::post("/ops/login").header("content-type", "application/json");
    check(&env.send(json.body(Body::from("{}")).unwrap()).await, 415);
    // The page's cookie allows reads only.
    let by_cookie = |request: axum::http::request::Builder| {
        let request = request.header("cookie", format!("__Host-portal_token={token}"));
        request.body(Body::empty()).unwrap()
    };
    let place = Request::post("/api/orders").header("idempotency-key", "k");
    check(&env.send(by_cookie(place)).await, 401);
    let order = format!("/api/orders/{}", testkit::order_id(1));
    let seen = env.send(by_cookie(Request::get(order))).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(OWN.len(), 18);
}

#[tokio::test]
async fn tokenless_portal_answers_only_to_loopback_host_names() {
    let env = TestEnv::with(config(TokenKeys::Nobody));
    let path = format!("/api/orders/{}", env.order());
    for (host, status) in [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("[::1]:8080", 200),
        ("shop.example", 404),
        ("localhost.shop.example:8080", 404),
    ] {
        let request = Request::get(&path).header("host", host);
        let response = env.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            response.status.as_u16(),
            status,
            "{host}: {}",
            response.text
        );
    } // HTTP/2 and absolute addresses name the host in the address.
    for (host, status) in [("localhost", 200), ("shop.example", 404)] {
        let request = Request::get(format!("http://{host}{path}"));
        let response = env.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status.as_u16(), status, "{host} in the address");
    }
    // What comes through a proxy comes from elsewhere, whatever it says.
    for header in ["x-forwarded-for", "x-forwarded-host", "forwarded"] {
        let request = Request::get(&path).header("host", "localhost");
        let request = request.header(header, "127.0.0.1");
        let response = env.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status, StatusCode::NOT_FOUND, "{header}");
    }
}
