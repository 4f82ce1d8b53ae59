//! Logins and sessions of operators.

use std::net::SocketAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use operations::{AdminCommands, OperatorSessions};
use portal_web::{Config, OpsAccess, PortalArgs, ProxyNames};
use settings::{Problems, Secret};

use testkit::Logs;

use crate::test_env::{Response, TestEnv, config, secret};

const TOKEN: &str = "token-of-the-operators-1";
const NEW_TOKEN: &str = "token-of-the-operators-2";
const VIEWER: &str = "token-of-the-viewers-123";

fn with_token(operator: &str) -> Config {
    let mut config = config(secret());
    config.ops = OpsAccess::Tokens {
        operator: Secret::new(operator).into(),
        viewer: Some(Secret::new(VIEWER).into()),
    };
    config
}

fn console_env() -> TestEnv {
    TestEnv::with(with_token(TOKEN))
}

async fn send(env: &TestEnv, peer: &str, mut request: Request<Body>) -> Response {
    let peer: SocketAddr = format!("{peer}:50000").parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    env.send(request).await
}

fn login(name: &str, token: &str) -> Request<Body> {
    Request::post("/ops/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(format!("name={name}&token={token}")))
        .unwrap()
}

fn cookie(response: &Response) -> String {
    assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", response.text);
    let cookie = response.header("set-cookie");
    cookie.split(';').next().unwrap().to_owned()
}

async fn log_in(env: &TestEnv) -> String {
    cookie(&send(env, "10.0.0.1", login("Ada", TOKEN)).await)
}

fn with_cookie(method: &str, path: &str, cookie: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let request = request.header("cookie", cookie);
    request.body(Body::empty()).unwrap()
}

async fn is_open(env: &TestEnv, cookie: &str) -> bool {
    let seen = send(env, "10.0.0.1", with_cookie("GET", "/ops", cookie)).await;
    seen.status == StatusCode::OK
}

/// The audit log, newest first: command, operator, subject.
async fn audit(env: &TestEnv) -> Vec<(String, String, String)> {
    let entries = env.store.audit(99).await.unwrap();
    let entries = entries.into_iter();
    entries
        .map(|entry| (entry.act, entry.who, entry.subject))
        .collect()
}

fn entry(act: &str, who: &str, subject: &str) -> (String, String, String) {
    (act.to_owned(), who.to_owned(), subject.to_owned())
}

#[tokio::test]
async fn logout_ends_the_session_everywhere() {
    let env = console_env();
    let cookie = log_in(&env).await;
    assert!(is_open(&env, &cookie).await);
    let out = send(
        &env,
        "10.0.0.1",
        with_cookie("POST", "/ops/logout", &cookie),
    )
    .await;
    assert_eq!(out.status, StatusCode::SEE_OTHER);
    assert!(!is_open(&env, &cookie).await);
    assert!(env.store.sessions().await.unwrap().is_empty());
}

#[tokio::test]
async fn session_lives_in_the_store_until_it_expires() {
    let env = console_env();
    let cookie = log_in(&env).await;
    let restarted = env.restarted(with_token(TOKEN));
    assert!(is_open(&restarted, &cookie).await);
    let session = env.store.sessions().await.unwrap().pop().unwrap();
    assert_eq!(session.operator, "Ada (typed)");
    assert_eq!(session.peer, "10.0.0.1");
    let id = cookie.split_once('=').unwrap().1;
    assert_eq!(id.len(), 64);
    for stored in [&session.digest, &session.token_fingerprint] {
        assert_eq!(stored.len(), 64);
        assert_ne!(stored, id);
    }
    let forged = cookie.replace(id, &session.digest);
    assert!(!is_open(&env, &forged).await);
    env.clock.advance(Duration::from_secs(12 * 3600));
    assert!(!is_open(&env, &cookie).await);
}

#[tokio::test]
async fn changed_token_ends_its_sessions() {
    let env = console_env();
    let operator = log_in(&env).await;
    let viewer = cookie(&send(&env, "10.0.0.2", login("Bo", VIEWER)).await);
    let rotated = env.restarted(with_token(NEW_TOKEN));
    assert!(!is_open(&rotated, &operator).await);
    assert!(is_open(&rotated, &viewer).await);
    let page = send(
        &rotated,
        "10.0.0.2",
        with_cookie("GET", "/ops/system", &viewer),
    )
    .await;
    assert!(page.text.contains("Bo (typed)"), "{}", page.text);
    assert!(
        !page.text.contains("<td>Ada (typed)</td><td>operator"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn token_that_is_read_again_ends_its_sessions() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let given = settings::given::<PortalArgs>([
        ("OPS_TOKEN_FILE", file.to_str().unwrap()),
        ("PORTAL_AUTH", "none"),
    ]);
    let address = "127.0.0.1:0".parse().unwrap();
    let args = given.unwrap().args;
    let mut config = with_token(TOKEN);
    config.ops = args.check(address, &mut Problems::new()).unwrap().ops;
    let env = TestEnv::with(config);
    let cookie = log_in(&env).await;
    assert!(env.reload.run().is_empty());
    assert!(is_open(&env, &cookie).await, "the token is still the same");
    std::fs::write(&file, NEW_TOKEN).unwrap();
    assert!(env.reload.run().is_empty());
    assert!(!is_open(&env, &cookie).await);
}

#[tokio::test]
async fn open_sessions_are_listed_on_the_system_page() {
    let env = console_env();
    let cookie = log_in(&env).await;
    let page = send(&env, "10.0.0.1", with_cookie("GET", "/ops/system", &cookie)).await;
    for words in [
        "Sessions",
        "Ada (typed)",
        "10.0.0.1",
        "2026-01-01 12:00:00 UTC",
    ] {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    assert!(!page.text.contains(cookie.split_once('=').unwrap().1));
}

#[tokio::test]
async fn wrong_tokens_lock_only_their_address() {
    let env = console_env();
    let attackers = ["10.0.0.66", "[2001:db8::1]"];
    for attacker in attackers {
        for _ in 0..10 {
            let wrong = send(&env, attacker, login("Eve", "guess")).await;
            assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
        }
    }
    // Addresses of one IPv6 network belong to one client.
    for locked in ["10.0.0.66", "[2001:db8::1]", "[2001:db8::ffff]"] {
        let right = send(&env, locked, login("Eve", TOKEN)).await;
        assert_eq!(right.status, StatusCode::TOO_MANY_REQUESTS, "{locked}");
    }
    let bearer = |token: &str| {
        let request = Request::get("/ops/api/overview");
        let request = request.header("authorization", format!("Bearer {token}"));
        request.body(Body::empty()).unwrap()
    };
    let locked = send(&env, "10.0.0.66", bearer(TOKEN)).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
    let free = send(&env, "10.0.0.1", bearer(TOKEN)).await;
    assert_eq!(free.status, StatusCode::OK);
    let free = send(&env, "[2001:db8:0:1::1]", login("Ada", TOKEN)).await;
    assert_eq!(free.status, StatusCode::SEE_OTHER);
    env.clock.advance(Duration::from_secs(61));
    let later = send(&env, "10.0.0.66", login("Ada", TOKEN)).await;
    assert_eq!(later.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn clients_of_a_trusted_proxy_are_told_apart() {
    let mut config = with_token(TOKEN);
    config.proxy_names = Some(proxy());
    let env = TestEnv::with(config);
    let forwarded = |client: &str, token: &str| {
        let mut request = login("x", token);
        let client = client.parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", client);
        request
    };
    for _ in 0..10 {
        let wrong = forwarded("192.0.2.1, 198.51.100.66", "guess");
        send(&env, "10.9.9.9", wrong).await;
    }
    let locked = forwarded("192.0.2.2, 198.51.100.66", TOKEN);
    let locked = send(&env, "10.9.9.9", locked).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
    let free = send(&env, "10.9.9.9", forwarded("198.51.100.1", TOKEN)).await;
    assert_eq!(free.status, StatusCode::SEE_OTHER);
    // Others cannot escape their lock by naming another address.
    for n in 0..10 {
        let wrong = forwarded(&format!("198.51.100.{n}"), "guess");
        send(&env, "192.0.2.9", wrong).await;
    }
    let locked = send(&env, "192.0.2.9", forwarded("198.51.100.9", TOKEN)).await;
    assert_eq!(locked.status, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn logins_and_failures_are_audited_and_logged() {
    let logs = Logs::capture();
    let env = console_env();
    send(&env, "10.0.0.66", login("Eve", "guess")).await;
    let cookie = log_in(&env).await;
    let out = with_cookie("POST", "/ops/logout", &cookie);
    send(&env, "10.0.0.1", out).await;
    assert_eq!(
        audit(&env).await,
        [
            entry("logout", "Ada (typed)", "from 10.0.0.1"),
            entry("login", "Ada (typed)", "from 10.0.0.1"),
            entry("login_failed", "Eve (typed)", "from 10.0.0.66"),
        ]
    );
    let text = logs.text();
    for words in [
        "operator login failed",
        "operator logged in",
        "operator logged out",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let id = cookie.split_once('=').unwrap().1;
    for hidden in [TOKEN, "guess", id] {
        assert!(!text.contains(hidden), "{text}");
    }
}

#[tokio::test]
async fn failed_logins_do_not_flood_the_audit_log() {
    let env = console_env();
    for n in 0..200 {
        send(&env, &format!("10.0.1.{n}"), login("Eve", "guess")).await;
    }
    assert_eq!(audit(&env).await.len(), 60);
    env.clock.advance(Duration::from_secs(61));
    send(&env, "10.0.2.1", login("Eve", "guess")).await;
    assert_eq!(audit(&env).await.len(), 61);
}

fn proxy() -> ProxyNames {
    ProxyNames {
        header: "x-forwarded-user".parse().unwrap(),
        proxies: vec!["10.9.0.0/16".parse().unwrap()],
    }
}

#[tokio::test]
async fn proxy_gives_the_operator_name_and_others_cannot() {
    let mut config = with_token(TOKEN);
    config.proxy_names = Some(proxy());
    let env = TestEnv::with(config);
    let named = || {
        let mut request = login("Mallory", TOKEN);
        let name = "ada@example.com".parse().unwrap();
        request.headers_mut().insert("x-forwarded-user", name);
        request
    };
    let through = send(&env, "10.9.1.1", named()).await;
    assert_eq!(through.status, StatusCode::SEE_OTHER);
    let around = send(&env, "10.8.1.1", named()).await;
    assert_eq!(around.status, StatusCode::SEE_OTHER);
    let who: Vec<_> = audit(&env)
        .await
        .into_iter()
        .map(|(_, who, _)| who)
        .collect();
    assert_eq!(who, ["Mallory (typed)", "ada@example.com"]);
}

#[tokio::test]
async fn logged_out_console_stream_ends() {
    let env = console_env();
    let cookie = log_in(&env).await;
    let stream = |cookie: &str| with_cookie("GET", "/ops/changes", cookie);
    let session = env.store.sessions().await.unwrap().pop().unwrap();
    env.store.end_session(&session.digest).await.unwrap();
    let refused = send(&env, "10.0.0.1", stream(&cookie)).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    let cookie = log_in(&env).await;
    env.clock.advance(Duration::from_secs(12 * 3600 - 60));
    let before = domain::ports::Clock::now(&*env.clock);
    let open = send(&env, "10.0.0.1", stream(&cookie)).await;
    assert_eq!(open.status, StatusCode::OK);
    let lasted = domain::ports::Clock::now(&*env.clock).since(before);
    assert!(lasted <= Duration::from_secs(63), "{lasted:?}");
}
