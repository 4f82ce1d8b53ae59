//! Tokens that are verified with the key set of an identity provider.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use axum::routing::get;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use portal_web::TokenKeys;
use settings::Endpoint;

use testkit::Logs;

use crate::denials::KEY;
use crate::test_env::{TestEnv, config};

/// An identity provider with the key `k1`.
#[derive(Clone, Default)]
struct IdentityProvider {
    fetches: Arc<AtomicUsize>,
    hangs: Arc<AtomicBool>,
    fails: Arc<AtomicBool>,
}

impl IdentityProvider {
    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }

    fn hang(&self) {
        self.hangs.store(true, Ordering::SeqCst);
    }

    async fn env(&self) -> TestEnv {
        let key = EncodingKey::from_rsa_pem(KEY).unwrap();
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::RS256).unwrap();
        jwk.common.key_id = Some("k1".to_owned());
        let set = serde_json::to_value(JwkSet { keys: vec![jwk] }).unwrap();
        let this = self.clone();
        let served = axum::Router::new().route(
            "/keys",
            get(async move || {
                this.fetches.fetch_add(1, Ordering::SeqCst);
                if this.hangs.load(Ordering::SeqCst) {
                    std::future::pending::<()>().await;
                }
                match this.fails.load(Ordering::SeqCst) {
                    true => Err(StatusCode::INTERNAL_SERVER_ERROR),
                    false => Ok(axum::Json(set)),
                }
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, served).await });
        TestEnv::with(config(TokenKeys::Jwks(Endpoint::parse(&url).unwrap())))
    }
}

fn token(env: &TestEnv, kid: &str) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(kid.to_owned());
    let key = EncodingKey::from_rsa_pem(KEY).unwrap();
    jsonwebtoken::encode(&header, &env.claims(), &key).unwrap()
}

async fn status(env: &TestEnv, token: &str) -> StatusCode {
    let path = format!("/api/orders/{}", env.order());
    env.get(&path, Some(token)).await.status
}

#[tokio::test]
async fn jwks_accepts_only_its_own_keys_and_algorithms() {
    let env = IdentityProvider::default().env().await;
    assert_eq!(status(&env, &token(&env, "k1")).await, StatusCode::OK);
    assert_eq!(
        status(&env, &token(&env, "k2")).await,
        StatusCode::UNAUTHORIZED
    );
    // Algorithm confusion: the public key as an HMAC secret.
    let public = include_bytes!("../../../simulators/keys/simulator-only.pub.pem");
    let confused = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &env.claims(),
        &EncodingKey::from_secret(public),
    );
    let refused = status(&env, &confused.unwrap()).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn unknown_key_id_costs_at_most_one_fetch_per_minute() {
    let provider = IdentityProvider::default();
    let env = provider.env().await;
    assert_eq!(status(&env, &token(&env, "k1")).await, StatusCode::OK);
    for (seconds, fetches) in [(0, 1), (31, 1), (28, 1), (1, 2), (59, 2), (1, 3)] {
        env.clock.advance(Duration::from_secs(seconds));
        for _ in 0..3 {
            let refused = status(&env, &token(&env, "k2")).await;
            assert_eq!(refused, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(provider.fetches(), fetches, "after {seconds} s more");
    }
}

#[tokio::test]
async fn cached_key_is_served_while_identity_provider_hangs() {
    let provider = IdentityProvider::default();
    let env = provider.env().await;
    assert_eq!(status(&env, &token(&env, "k1")).await, StatusCode::OK);
    provider.hang();
    env.clock.advance(Duration::from_secs(2 * 3600));
    // In paused time the timeout passes at once when nothing else can run.
    tokio::time::pause();
    for _ in 0..3 {
        let token = token(&env, "k1");
        let served = tokio::time::timeout(Duration::from_millis(1), status(&env, &token)).await;
        assert_eq!(served, Ok(StatusCode::OK));
    }
}

#[tokio::test]
async fn without_keys_a_hanging_identity_provider_is_answered_with_503() {
    let provider = IdentityProvider::default();
    provider.hang();
    let env = provider.env().await;
    tokio::time::pause();
    let token = token(&env, "k1");
    let refused = tokio::time::timeout(Duration::from_secs(2), status(&env, &token)).await;
    assert_eq!(refused, Ok(StatusCode::SERVICE_UNAVAILABLE));
    assert!(provider.fetches() <= 1);
}

#[tokio::test]
async fn failed_fetch_is_repeated_with_backoff_until_it_succeeds() {
    let provider = IdentityProvider::default();
    provider.fails.store(true, Ordering::SeqCst);
    let env = provider.env().await;
    let waits = [(0, 1), (4, 1), (1, 2), (9, 2), (1, 3), (19, 3), (1, 4)];
    for (seconds, fetches) in waits {
        env.clock.advance(Duration::from_secs(seconds));
        for _ in 0..3 {
            let refused = status(&env, &token(&env, "k1")).await;
            assert_eq!(refused, StatusCode::SERVICE_UNAVAILABLE);
        }
        assert_eq!(provider.fetches(), fetches, "after {seconds} s more");
    }
    provider.fails.store(false, Ordering::SeqCst);
    env.clock.advance(Duration::from_secs(60));
    assert_eq!(status(&env, &token(&env, "k1")).await, StatusCode::OK);
    assert_eq!(provider.fetches(), 5);
    // A key set that was fetched once is kept while the next fetch fails.
    provider.fails.store(true, Ordering::SeqCst);
    for fetches in [6, 7] {
        env.clock.advance(Duration::from_secs(3600));
        for _ in 0..3 {
            assert_eq!(status(&env, &token(&env, "k1")).await, StatusCode::OK);
        }
        // An unknown key waits for the fetch in progress.
        status(&env, &token(&env, "k2")).await;
        assert_eq!(provider.fetches(), fetches);
    }
}

#[tokio::test]
async fn token_with_critical_header_is_denied() {
    let env = TestEnv::new();
    let mut header = Header::new(Algorithm::HS256);
    header.crit = Some(vec!["exp".to_owned()]);
    let key = EncodingKey::from_secret(crate::test_env::SECRET.as_bytes());
    let token = jsonwebtoken::encode(&header, &env.claims(), &key).unwrap();
    assert_eq!(status(&env, &token).await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn jwks_without_audience_is_warned_about_at_start() {
    let keys = || TokenKeys::Jwks(Endpoint::parse("http://127.0.0.1:9/keys").unwrap());
    let logs = Logs::capture();
    let _with = TestEnv::with(config(keys()));
    assert!(!logs.text().contains("PORTAL_JWT_AUDIENCE"));
    let mut config = config(keys());
    config.audience = None;
    let _without = TestEnv::with(config);
    let text = logs.text();
    assert!(
        text.contains("WARN") && text.contains("PORTAL_JWT_AUDIENCE"),
        "{text}"
    );
}

#[tokio::test]
async fn reload_fetches_the_keys_at_once() {
    let provider = IdentityProvider::default();
    let env = provider.env().await;
    assert_eq!(status(&env, &token(&env, "k1")).await, StatusCode::OK);
    assert_eq!(provider.fetches(), 1);
    assert!(env.reload.run().is_empty());
    // An unknown key waits for the fetch in progress, and starts none of its own so soon.
    let refused = status(&env, &token(&env, "k2")).await;
    assert_eq!(refused, StatusCode::UNAUTHORIZED);
    assert_eq!(provider.fetches(), 2);
}

#[tokio::test]
async fn start_with_key_set_but_without_audience_is_warned_about() {
    let keys = || TokenKeys::Jwks(Endpoint::parse("http://127.0.0.1:9/keys").unwrap());
    for (audience, warned) in [(Some("shop"), false), (None, true)] {
        let logs = Logs::capture();
        let mut config = config(keys());
        config.audience = audience.map(str::to_owned);
        let _env = TestEnv::with(config);
        let text = logs.text();
        let is_warned = text.contains("WARN") && text.contains("PORTAL_JWT_AUDIENCE is not set");
        assert_eq!(is_warned, warned, "{text}");
    }
}
