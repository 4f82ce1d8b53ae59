//! The shared token against a scripted token endpoint.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::State;
use axum::http::header::DATE;
use axum::response::{IntoResponse, Response};
use outbound::Roots;
use salesforce_auth::{AuthError, LoginStatus, SalesforceArgs, TokenManager};
use serde_json::{Value, json};
use settings::Problems;
use tokio::net::TcpListener;

const KEY: &str = include_str!("../../simulators/keys/simulator-only.pem");
const OTHER_KEY: &str = include_str!("keys/test-only-pkcs1.pem");

type Script = Box<dyn Fn(&str) -> Response + Send + Sync>;

/// A token endpoint; every login takes the next answer, and the last one is repeated.
struct Endpoint {
    url: String,
    logins: Arc<Mutex<Vec<Value>>>,
}

#[derive(Clone)]
struct Shared {
    script: Arc<Mutex<VecDeque<Script>>>,
    logins: Arc<Mutex<Vec<Value>>>,
    url: String,
}

async fn answer(State(shared): State<Shared>, body: String) -> Response {
    let assertion = body.split("assertion=").nth(1).unwrap();
    let claims = jsonwebtoken::dangerous::insecure_decode::<Value>(assertion).unwrap();
    shared.logins.lock().unwrap().push(claims.claims);
    let mut script = shared.script.lock().unwrap();
    if script.len() > 1 {
        return script.pop_front().unwrap()(&shared.url);
    }
    script[0](&shared.url)
}

impl Endpoint {
    async fn start(script: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let logins = Arc::default();
        let shared = Shared {
            script: Arc::new(Mutex::new(script.into())),
            logins: Arc::clone(&logins),
            url: url.clone(),
        };
        let router = Router::new().fallback(answer).with_state(shared);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, logins }
    }

    fn manager(&self, key_file: &Path) -> TokenManager {
        let given = settings::given::<SalesforceArgs>([
            ("SF_LOGIN_URL", self.url.clone()),
            ("SF_CLIENT_ID", "app".to_owned()),
            ("SF_USERNAME", "u@example.com".to_owned()),
            ("SF_PRIVATE_KEY_FILE", key_file.display().to_string()),
        ]);
        let config = given.unwrap().args.check(&mut Problems::new()).unwrap();
        TokenManager::new(config, &Roots::load(None).unwrap()).unwrap()
    }

    fn logins(&self) -> usize {
        self.logins.lock().unwrap().len()
    }
}

fn granted() -> Script {
    Box::new(|url| {
        axum::Json(json!({
            "access_token": "00D000000000001!secret",
            "instance_url": url,
            "id": "https://login.salesforce.com/id/00D000000000001EAA/005000000000001AAA",
            "token_type": "Bearer",
        }))
        .into_response()
    })
}

fn refused(description: &'static str) -> Script {
    Box::new(move |_| {
        let body = json!({"error": "invalid_grant", "error_description": description});
        (axum::http::StatusCode::BAD_REQUEST, axum::Json(body)).into_response()
    })
}

struct Key(tempfile::TempDir);

impl Key {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("key.pem"), KEY).unwrap();
        Self(folder)
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("key.pem")
    }

    fn rotate(&self) {
        std::fs::write(self.path(), OTHER_KEY).unwrap();
        let later = SystemTime::now() + Duration::from_secs(5);
        let file = std::fs::File::options()
            .write(true)
            .open(self.path())
            .unwrap();
        file.set_modified(later).unwrap();
    }
}

async fn later(by: Duration) {
    tokio::time::pause();
    tokio::time::advance(by).await;
    tokio::time::resume();
}

#[tokio::test]
async fn concurrent_callers_share_one_login() {
    let (endpoint, key) = (Endpoint::start(vec![granted()]).await, Key::new());
    let manager = Arc::new(endpoint.manager(&key.path()));
    let ask = |generation: Option<u64>| {
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let manager = Arc::clone(&manager);
                tokio::spawn(async move {
                    match generation {
                        None => manager.token().await,
                        Some(used) => manager.refresh(used).await,
                    }
                })
            })
            .collect();
        async move {
            let mut generations = Vec::new();
            for task in tasks {
                generations.push(task.await.unwrap().unwrap().generation);
            }
            generations
        }
    };
    assert_eq!(ask(None).await, [1; 8]);
    assert_eq!(endpoint.logins(), 1);
    assert_eq!(ask(Some(1)).await, [2; 8]);
    assert_eq!(endpoint.logins(), 2);
    assert_eq!(manager.org().await.unwrap(), "00D000000000001EAA");
    let claims = endpoint.logins.lock().unwrap()[0].clone();
    assert_eq!(claims["iss"], "app");
    assert_eq!(claims["sub"], "u@example.com");
    assert_eq!(claims["aud"], json!(endpoint.url));
    assert!(claims["exp"].is_u64());
}

#[tokio::test]
async fn refused_login_backs_off_exponentially() {
    let endpoint = Endpoint::start(vec![refused("user hasn't approved this consumer")]).await;
    let key = Key::new();
    let manager = endpoint.manager(&key.path());
    for _ in 0..5 {
        let error = manager.token().await.unwrap_err();
        assert!(error.to_string().contains("SF_USERNAME"), "{error}");
    }
    assert_eq!(endpoint.logins(), 1);
    later(Duration::from_secs(31)).await;
    assert!(manager.token().await.is_err());
    assert_eq!(endpoint.logins(), 2);
    later(Duration::from_secs(31)).await;
    assert!(manager.token().await.is_err());
    assert_eq!(endpoint.logins(), 2);
    later(Duration::from_secs(30)).await;
    assert!(manager.token().await.is_err());
    assert_eq!(endpoint.logins(), 3);
    assert!(matches!(
        manager.status(),
        LoginStatus::Failed(AuthError::Refused { .. })
    ));
}

#[tokio::test]
async fn changed_key_or_reset_ends_login_backoff() {
    let script = vec![
        refused("invalid assertion"),
        refused("invalid assertion"),
        granted(),
    ];
    let (endpoint, key) = (Endpoint::start(script).await, Key::new());
    let manager = endpoint.manager(&key.path());
    assert!(manager.token().await.is_err());
    key.rotate();
    assert!(manager.token().await.is_err());
    assert!(manager.token().await.is_err());
    assert_eq!(endpoint.logins(), 2);
    manager.reset();
    assert_eq!(manager.token().await.unwrap().generation, 1);
    assert!(matches!(manager.status(), LoginStatus::LoggedIn));
}

#[tokio::test]
async fn clock_skew_is_corrected() {
    let ahead = SystemTime::now() + Duration::from_secs(3600);
    let expired: Script = Box::new(move |url| {
        let mut response = refused("expired authorization code")(url);
        let date = httpdate::fmt_http_date(ahead).parse().unwrap();
        response.headers_mut().insert(DATE, date);
        response
    });
    let (endpoint, key) = (Endpoint::start(vec![expired, granted()]).await, Key::new());
    let manager = endpoint.manager(&key.path());
    manager.token().await.unwrap();
    let logins = endpoint.logins.lock().unwrap().clone();
    let gained = logins[1]["exp"].as_i64().unwrap() - logins[0]["exp"].as_i64().unwrap();
    assert!((3590..=3610).contains(&gained), "{gained}");
}

#[tokio::test]
async fn unencrypted_instance_is_rejected() {
    let plain: Script = Box::new(|_| {
        axum::Json(json!({"access_token": "t", "instance_url": "http://example.com", "id": ""}))
            .into_response()
    });
    let (endpoint, key) = (Endpoint::start(vec![plain]).await, Key::new());
    let error = endpoint.manager(&key.path()).token().await.unwrap_err();
    assert!(matches!(error, AuthError::Refused { .. }), "{error}");
}

#[tokio::test]
async fn unavailable_endpoint_is_not_a_refusal() {
    let down: Script =
        Box::new(|_| (axum::http::StatusCode::SERVICE_UNAVAILABLE, "<html>").into_response());
    let (endpoint, key) = (Endpoint::start(vec![down, granted()]).await, Key::new());
    let manager = endpoint.manager(&key.path());
    let error = manager.token().await.unwrap_err();
    assert!(matches!(error, AuthError::Unreachable { .. }), "{error}");
    assert!(manager.token().await.is_ok());
}

/// Uses a token that the API refuses.
async fn use_refused_token(manager: &TokenManager) -> Option<AuthError> {
    match manager.token().await {
        Ok(session) => manager.refused(session.generation),
        Err(error) => Some(error),
    }
}

#[tokio::test]
async fn session_refused_twice_backs_off() {
    let (endpoint, key) = (Endpoint::start(vec![granted()]).await, Key::new());
    let manager = endpoint.manager(&key.path());
    for _ in 0..100 {
        use_refused_token(&manager).await;
    }
    assert_eq!(endpoint.logins(), 2);
    let error = manager.token().await.unwrap_err();
    assert!(matches!(error, AuthError::SessionRefused { .. }), "{error}");
    assert!(error.to_string().contains("connected app"), "{error}");
    assert!(error.needs_operator());
    // The backoff doubles while nothing changes.
    for (wait, logins) in [(31, 3), (31, 3), (30, 4)] {
        later(Duration::from_secs(wait)).await;
        use_refused_token(&manager).await;
        use_refused_token(&manager).await;
        assert_eq!(endpoint.logins(), logins, "after {wait} s more");
        assert!(manager.problem().is_some());
    }
    // The API accepts the next session, which resets the backoff.
    later(Duration::from_secs(121)).await;
    let session = manager.token().await.unwrap();
    assert!(manager.problem().is_some(), "it was not used yet");
    manager.accepted(session.generation);
    assert!(matches!(manager.status(), LoginStatus::LoggedIn));
    // A session that expires later is renewed at once.
    let next = manager.refresh(session.generation).await.unwrap();
    assert_eq!(next.generation, session.generation + 1);
    manager.accepted(next.generation);
}

#[tokio::test]
async fn late_or_repeated_refusals_count_once() {
    let (endpoint, key) = (Endpoint::start(vec![granted()]).await, Key::new());
    let manager = endpoint.manager(&key.path());
    let first = manager.token().await.unwrap().generation;
    for _ in 0..100 {
        assert!(manager.refused(first).is_none());
    }
    let second = manager.token().await.unwrap().generation;
    assert!(
        manager.refused(first).is_none(),
        "it is not the current one"
    );
    manager.accepted(second);
    assert!(manager.refused(second).is_none(), "it worked before");
    assert_eq!(endpoint.logins(), 2);
}

#[tokio::test]
async fn changed_key_or_reset_ends_session_backoff() {
    let (endpoint, key) = (Endpoint::start(vec![granted()]).await, Key::new());
    let manager = endpoint.manager(&key.path());
    while use_refused_token(&manager).await.is_none() {}
    assert!(manager.token().await.is_err());
    key.rotate();
    assert!(manager.token().await.is_ok());
    while use_refused_token(&manager).await.is_none() {}
    assert!(manager.token().await.is_err());
    manager.reset();
    assert!(manager.token().await.is_ok());
}

fn granted_with(instance: &'static str, identity: &'static str) -> Script {
    Box::new(move |url| {
        let instance = if instance.is_empty() { url } else { instance };
        axum::Json(json!({
            "access_token": "00D000000000001!secret",
            "instance_url": instance,
            "id": format!("{identity}/id/00D000000000001EAA/005000000000001AAA"),
        }))
        .into_response()
    })
}

#[tokio::test]
async fn session_for_a_foreign_host_is_refused() {
    let key = Key::new();
    for (instance, identity, foreign) in [
        (
            "https://evil.example",
            "https://login.salesforce.com",
            "evil.example",
        ),
        (
            "https://salesforce.com.evil.example",
            "https://login.salesforce.com",
            "evil.example",
        ),
        (
            "https://notsalesforce.com",
            "https://login.salesforce.com",
            "notsalesforce.com",
        ),
        ("", "https://evil.example", "evil.example"),
    ] {
        let endpoint = Endpoint::start(vec![granted_with(instance, identity)]).await;
        let refused = endpoint.manager(&key.path()).token().await;
        let Err(AuthError::Refused {
            hint, description, ..
        }) = refused
        else {
            panic!("{instance} and {identity} are accepted");
        };
        assert!(description.contains(foreign), "{description}");
        assert!(hint.contains("SF_ALLOWED_HOSTS"), "{hint}");
    }
    let endpoint = Endpoint::start(vec![granted_with(
        "https://acme--dev.sandbox.my.salesforce.com",
        "https://test.salesforce.com",
    )])
    .await;
    assert!(endpoint.manager(&key.path()).token().await.is_ok());
}
