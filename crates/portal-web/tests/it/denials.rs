//! Who is not let in, on every route.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use domain::order::ActivationStatus;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portal_web::TokenKeys;
use serde_json::json;
use settings::Endpoint;

use crate::house::{TestEnv, OTHER, OWN, config, signed};

const KEY: &[u8] = include_bytes!("../../../simulators/keys/simulator-only.pem");
const ROUTES: [&str; 3] = ["/api/orders/{}", "/api/orders/{}/events", "/orders/{}"];

#[tokio::test]
async fn a_token_that_is_not_good_opens_nothing() {
    let house = TestEnv::new();
    let order = house.order();
    let with = |edit: &dyn Fn(&mut serde_json::Value)| {
        let mut claims = house.claims();
        edit(&mut claims);
        signed(&claims)
    };
    let unsigned = {
        // {"alg":"none","typ":"JWT"}
        let good = house.token();
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
                jsonwebtoken::encode(&Header::new(Algorithm::HS256), &house.claims(), &key).unwrap()
            }),
        ),
        (
            "another algorithm",
            Some({
                let key = EncodingKey::from_rsa_pem(KEY).unwrap();
                jsonwebtoken::encode(&Header::new(Algorithm::RS256), &house.claims(), &key).unwrap()
            }),
        ),
    ];
    for (name, token) in table {
        for route in ROUTES {
            let path = route.replace("{}", order.as_str());
            let answer = house.get(&path, token.as_deref()).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}: {path}");
            assert!(!answer.text.contains("00000101"), "{name}: {path}");
        }
        let placed = house
            .place("k", token.as_deref().unwrap_or("none"), "{}")
            .await;
        assert_eq!(placed.status, StatusCode::UNAUTHORIZED, "{name}");
    }
    assert_eq!(house.crm.calls(), 0);
}

#[tokio::test]
async fn another_customers_order_answers_exactly_as_one_that_is_not_there() {
    let house = TestEnv::new();
    let order = house.put(OTHER, ActivationStatus::Activated);
    let token = house.token();
    for route in ROUTES {
        let foreign = house
            .get(&route.replace("{}", order.as_str()), Some(&token))
            .await;
        let unknown = house
            .get(&route.replace("{}", "80100000000000Z"), Some(&token))
            .await;
        assert_eq!(foreign.status, StatusCode::NOT_FOUND, "{route}");
        assert_eq!(foreign.status, unknown.status);
        assert_eq!(foreign.text, unknown.text);
        assert_eq!(foreign.headers, unknown.headers);
    }
}

#[tokio::test]
async fn with_a_key_set_only_its_own_keys_and_algorithms_count() {
    let key = EncodingKey::from_rsa_pem(KEY).unwrap();
    let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
    jwk.common.key_id = Some("k1".to_owned());
    let set = serde_json::to_value(JwkSet { keys: vec![jwk] }).unwrap();
    let served = axum::Router::new().route("/keys", get(async move || axum::Json(set)));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/keys", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, served).await });
    let house = TestEnv::with(config(TokenKeys::Jwks(Endpoint::parse("X", &url).unwrap())));
    let path = format!("/api/orders/{}", house.order());
    let by = |kid: &str| {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(kid.to_owned());
        jsonwebtoken::encode(&header, &house.claims(), &key).unwrap()
    };
    assert_eq!(
        house.get(&path, Some(&by("k1"))).await.status,
        StatusCode::OK
    );
    assert_eq!(
        house.get(&path, Some(&by("k2"))).await.status,
        StatusCode::UNAUTHORIZED
    );
    // The public key as an HMAC secret: the old trick.
    let public = include_bytes!("../../../simulators/keys/simulator-only.pub.pem");
    let confused = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &house.claims(),
        &EncodingKey::from_secret(public),
    );
    let answer = house.get(&path, Some(&confused.unwrap())).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn everything_else_that_is_wrong_is_a_problem_document() {
    let house = TestEnv::new();
    house.order();
    let token = house.token();
    let check = |answer: &crate::house::Answer, status: u16| {
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["status"], status);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(
            answer
                .header("content-security-policy")
                .contains("default-src 'none'")
        );
    };
    check(&house.get("/api/orders/123", Some(&token)).await, 400);
    check(&house.get("/nowhere", None).await, 404);
    check(&house.get("/api/orders", Some(&token)).await, 405);
    check(&house.get("/ops", Some(&token)).await, 404);
    let huge = format!("{{\"items\":[],\"x\":\"{}\"}}", "y".repeat(70_000));
    check(&house.place("k", &token, &huge).await, 413);
    check(&house.place("", &token, "{}").await, 400);
    check(&house.place("k", &token, "not json").await, 400);
    check(&house.place("k", &token, "{\"items\":[]}").await, 422);
    let foreign = json!({"accountId": OTHER, "items": []}).to_string();
    check(&house.place("k", &token, &foreign).await, 403);
    let form = Request::post("/api/orders")
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", "k");
    check(
        &house.send(form.body(Body::from("a=b")).unwrap()).await,
        415,
    );
    // What the framework itself refuses.
    check(&house.get("/api/orders/%ff", Some(&token)).await, 400);
    check(&house.get("/ops/orders?q=a&q=b", None).await, 400);
    let huge = Request::post("/ops/act").body(Body::from("y".repeat(70_000)));
    check(&house.send(huge.unwrap()).await, 413);
    let json = Request::post("/ops/login").header("content-type", "application/json");
    check(&house.send(json.body(Body::from("{}")).unwrap()).await, 415);
    // The page's cookie reads and never writes.
    let by_cookie = |request: axum::http::request::Builder| {
        let request = request.header("cookie", format!("portal_token={token}"));
        request.body(Body::empty()).unwrap()
    };
    let place = Request::post("/api/orders").header("idempotency-key", "k");
    check(&house.send(by_cookie(place)).await, 401);
    let order = format!("/api/orders/{}", testkit::order_id(1));
    let seen = house.send(by_cookie(Request::get(order))).await;
    assert_eq!(seen.status, StatusCode::OK);
    assert_eq!(OWN.len(), 18);
}

#[tokio::test]
async fn without_tokens_this_machine_answers_to_its_own_names_only() {
    let house = TestEnv::with(config(TokenKeys::Nobody));
    let path = format!("/api/orders/{}", house.order());
    for (host, status) in [
        ("127.0.0.1:8080", 200),
        ("localhost", 200),
        ("[::1]:8080", 200),
        ("shop.example", 404),
        ("localhost.shop.example:8080", 404),
    ] {
        let request = Request::get(&path).header("host", host);
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status.as_u16(), status, "{host}: {}", answer.text);
    }
}
