//! The operator console.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use domain::failure::{Code, Refusal};
use domain::job::JobOutcome;
use domain::key::Channel;
use domain::order::{ActivationStatus, Fact};
use domain::ports::{EventIntake, JobQueue};
use domain::time::Timestamp;
use operations::{
    AdminCommand, AdminCommands, Alert, AlertStore, Condition, ConditionKind, Notified,
    ProcessRegistry, ProcessReport,
};
use portal_web::OpsAccess;
use settings::Secret;
use std::time::Duration;
use testkit::JobQueueExt;
use testkit::{Written, lead, new_job, order_id, owner, process_report};

use crate::test_env::{OWN, Response, TestEnv, config, secret};

const TOKEN: &str = "the operators' token";
const VIEWER: &str = "the viewers' token";

fn console_env() -> TestEnv {
    let mut config = config(secret());
    config.ops = OpsAccess::Tokens {
        operator: Secret::new(TOKEN).into(),
        viewer: Some(Secret::new(VIEWER).into()),
    };
    TestEnv::with(config)
}

/// An order whose attempt has failed, in Salesforce and in the store.
async fn failed(env: &TestEnv) {
    let order = env.put(OWN, ActivationStatus::Failed);
    let job = new_job("e1", order, Some("k"));
    env.store.enqueue(std::slice::from_ref(&job)).await.unwrap();
    let claimed = env
        .store
        .claim(&owner("w"), 1, Duration::from_secs(60))
        .await
        .unwrap();
    let refused = Fact::Refused(Refusal::new(
        Code::MappingMissing,
        "product `<b>VPS</b>` lacks its number",
    ));
    env.store
        .finish(&claimed[0].lease, JobOutcome::Failed, &[refused], &[])
        .await
        .unwrap();
}

async fn log_in(env: &TestEnv) -> String {
    let response = form(
        env,
        "/ops/login",
        None,
        &format!("name=Ada&token={}", TOKEN.replace(' ', "+")),
    )
    .await;
    assert_eq!(response.status, StatusCode::SEE_OTHER, "{}", response.text);
    let cookie = response.header("set-cookie");
    for words in ["HttpOnly", "SameSite=Strict", "Secure", "Path=/", "__Host-"] {
        assert!(cookie.contains(words), "{cookie}");
    }
    cookie.split(';').next().unwrap().to_owned()
}

async fn form(env: &TestEnv, path: &str, cookie: Option<&str>, body: &str) -> Response {
    let mut request =
        Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    env.send(request.body(Body::from(body.to_owned())).unwrap())
        .await
}

async fn see(env: &TestEnv, path: &str, cookie: &str) -> String {
    let request = Request::get(path).header("cookie", cookie);
    let seen = env.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(seen.status, StatusCode::OK, "{path}: {}", seen.text);
    seen.text
}

fn csrf(page: &str) -> &str {
    let start = page.split("name=\"csrf\" value=\"").nth(1).unwrap();
    start.split('"').next().unwrap()
}

#[tokio::test]
async fn without_session_only_login_form_is_served() {
    let env = console_env();
    failed(&env).await;
    let order = order_id(1);
    for path in [
        "/ops",
        "/ops/orders",
        "/ops/failures",
        "/ops/system",
        &format!("/ops/orders/{order}"),
    ] {
        // Customer tokens are not valid here.
        for token in [None, Some(env.token())] {
            let response = env.get(path, token.as_deref()).await;
            assert_eq!(response.status, StatusCode::SEE_OTHER, "{path}");
            assert_eq!(response.header("location"), "/ops/login");
            assert_eq!(response.text, "");
        }
    }
    for path in ["/ops/api/overview", "/ops/api/orders", "/ops/changes"] {
        assert_eq!(
            env.get(path, None).await.status,
            StatusCode::UNAUTHORIZED,
            "{path}"
        );
    }
    let act = form(&env, "/ops/act", None, "act=pause_worker&reason=x").await;
    assert_eq!(act.status, StatusCode::SEE_OTHER);
    let audit = env.store.audit(99).await.unwrap();
    assert!(audit.iter().all(|entry| entry.act == "login_failed"));
    let wrong = form(&env, "/ops/login", None, "name=Eve&token=guess").await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn five_screens_show_failed_order_and_remediation() {
    let env = console_env();
    failed(&env).await;
    let cookie = log_in(&env).await;
    let order = format!("/ops/orders/{}", order_id(1));
    for (path, words) in [
        ("/ops", "2026"),
        ("/ops", "One item needs attention"),
        ("/ops/orders?q=801000000000001", "MAPPING_MISSING"),
        ("/ops/failures", "Fill in WHMCS_Product_Id__c"),
        ("/ops/system", "Audit log"),
        (order.as_str(), "Requested by the Flow"),
        (order.as_str(), "Salesforce administrator"),
    ] {
        let page = see(&env, path, &cookie).await;
        assert!(page.contains(words), "{path}: {words}: {page}");
        assert!(!page.contains("<b>VPS"), "{path}");
    }
}

#[tokio::test]
async fn retry_is_requested_once_counted_and_audited() {
    let env = console_env();
    failed(&env).await;
    let cookie = log_in(&env).await;
    let page = see(&env, "/ops/failures", &cookie).await;
    let body = |csrf: &str, count: u32| {
        format!("act=retry_cause&code=MAPPING_MISSING&reason=mapped&count={count}&csrf={csrf}")
    };
    let forged = form(&env, "/ops/act", Some(&cookie), &body("guess", 1)).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let miscounted = form(&env, "/ops/act", Some(&cookie), &body(csrf(&page), 7)).await;
    assert_eq!(miscounted.status, StatusCode::CONFLICT);
    assert!(env.crm.written().is_empty());
    let asked = form(&env, "/ops/act", Some(&cookie), &body(csrf(&page), 1)).await;
    assert_eq!(asked.status, StatusCode::OK, "{}", asked.text);
    assert_eq!(env.crm.written(), [Written::RetryRequested(order_id(1))]);
    let audit = env.store.audit(9).await.unwrap();
    assert_eq!((audit.len(), audit[0].who.as_str()), (3, "Ada (typed)"));
    let acts: Vec<_> = audit.iter().map(|line| line.act.as_str()).collect();
    assert_eq!(acts, ["asked_again", "ask_again", "login"]);
    assert!(audit[0].reason.contains("mapped"), "{}", audit[0].reason);
}

#[tokio::test]
async fn ops_api_accepts_bearer_token_never_cookie() {
    let env = console_env();
    let act = |name: &str, value: String| {
        Request::post("/ops/api/act")
            .header(name, value)
            .body(Body::from(
                r#"{"act":"pause_worker","reason":"maintenance"}"#,
            ))
            .unwrap()
    };
    let cookie = log_in(&env).await;
    assert_eq!(
        env.send(act("cookie", cookie)).await.status,
        StatusCode::FORBIDDEN
    );
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(
        env.send(act("authorization", bearer)).await.status,
        StatusCode::OK
    );
    assert_eq!(env.store.pauses().await.unwrap().len(), 1);
    let overview = env.get("/ops/api/overview", Some(TOKEN)).await.json();
    assert_eq!(overview["openDeadLetters"], 0);
}

#[tokio::test]
async fn viewer_reads_everything_and_changes_nothing() {
    let env = console_env();
    failed(&env).await;
    let order = order_id(1);
    let response = form(
        &env,
        "/ops/login",
        None,
        &format!("name=Bo&token={}", VIEWER.replace(' ', "+")),
    )
    .await;
    let cookie = response.header("set-cookie").split(';').next().unwrap();
    let screens = [
        "/ops".to_owned(),
        "/ops/orders".to_owned(),
        format!("/ops/orders/{order}"),
        "/ops/failures".to_owned(),
        "/ops/system".to_owned(),
    ];
    for path in &screens {
        let request = Request::get(path).header("cookie", cookie);
        let seen = env.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(seen.status, StatusCode::OK, "{path}");
        assert!(!seen.text.contains("name=\"act\""), "{path}");
        assert!(!seen.text.contains("csrf"), "{path}");
    }
    for act in ["retry", "handle", "dismiss", "redrive", "pause_worker"] {
        let body = format!("act={act}&order={order}&letter=1&reason=x&csrf=x");
        let response = form(&env, "/ops/act", Some(cookie), &body).await;
        assert_eq!(response.status, StatusCode::FORBIDDEN, "{act}");
        let request = Request::post("/ops/api/act")
            .header("authorization", format!("Bearer {VIEWER}"))
            .header("content-type", "application/json");
        let body = format!("{{\"act\":\"{act}\",\"reason\":\"x\"}}");
        let response = env.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(response.status, StatusCode::FORBIDDEN, "{act}");
    }
    let audit = env.store.audit(99).await.unwrap();
    assert!(audit.iter().all(|entry| entry.act == "login"));
    let read = env.get("/ops/api/overview", Some(VIEWER)).await;
    assert_eq!(read.status, StatusCode::OK);
}

#[tokio::test]
async fn links_lead_to_records_in_both_systems() {
    let env = console_env();
    failed(&env).await;
    let path = format!("/ops/orders/{}", order_id(1));
    let page = env.get(&path, Some(TOKEN)).await;
    let link = format!(
        "<a href=\"https://acme.my.salesforce.com/{}\" rel=\"noopener noreferrer\">",
        order_id(1)
    );
    assert!(page.text.contains(&link), "{}", page.text);
}

fn a_process() -> ProcessReport {
    ProcessReport {
        conditions: vec![Condition {
            kind: ConditionKind::WhmcsRefuses,
            since: Timestamp::default(),
            detail: "invalid <credential>".to_owned(),
        }],
        ..process_report("worker-1", Timestamp::default())
    }
}

#[tokio::test]
async fn system_page_shows_every_process_and_its_conditions() {
    let env = console_env();
    env.store.report_process(&a_process()).await.unwrap();
    env.clock.advance(Duration::from_secs(90));
    let page = env.get("/ops/system", Some(TOKEN)).await.text;
    for words in [
        "worker",
        "host-a",
        "1.2.3",
        "1 min ago",
        "WHMCS refuses access",
        "invalid &#60;credential&#62;",
        "WHMCS_SECRET",
    ] {
        assert!(page.contains(words), "{words} is not in\n{page}");
    }
    let body = env.get("/ops/api/processes", Some(TOKEN)).await.text;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let process = &body["processes"][0];
    assert_eq!(process["conditions"][0]["name"], "whmcs_refuses");
    assert_eq!(process["unseenSeconds"], 90);
    assert_eq!(process["settings"][0]["origin"], "file");
    let denied = env.get("/ops/api/processes", None).await.status;
    assert_eq!(denied, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn firing_alert_is_first_on_overview() {
    let env = console_env();
    let watch = Channel::new("watch").unwrap();
    let ttl = Duration::from_secs(60);
    let epoch = lead(&*env.store, &watch, "a", ttl).await;
    let alert = Alert {
        name: "WhmcsPaused".to_owned(),
        severity: "page".to_owned(),
        summary: "WHMCS refuses the bridge; orders wait.".to_owned(),
        description: "worker on host-a".to_owned(),
        pending_since: Some(Timestamp::default()),
        firing_since: Some(Timestamp::default()),
        resolved_at: None,
        notified: Notified::Firing,
    };
    let alerts = std::slice::from_ref(&alert);
    let kept = env.store.save_alerts(&watch, epoch, alerts).await;
    kept.unwrap();
    let page = env.get("/ops", Some(TOKEN)).await.text;
    for words in [
        "One alert",
        "WHMCS refuses the bridge",
        "worker on host-a",
        "1970-01-01",
        r#"href="https://wiki.example/runbooks#"#,
    ] {
        assert!(page.contains(words), "{words} is not in\n{page}");
    }
    let body = env.get("/ops/api/alerts", Some(TOKEN)).await.text;
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["alerts"][0]["status"], "firing");
    assert_eq!(body["alerts"][0]["startsAt"], "1970-01-01T00:00:00.000Z");
}

#[tokio::test]
async fn unacknowledged_failure_is_listed_before_newer_acknowledged_ones() {
    let env = console_env();
    let jobs: Vec<_> = (1..=101)
        .map(|n| new_job(&format!("e{n}"), order_id(n), Some("k")))
        .collect();
    env.store.enqueue(&jobs).await.unwrap();
    let ttl = Duration::from_secs(60);
    let claimed = env.store.claim(&owner("w"), 101, ttl).await.unwrap();
    for claim in &claimed {
        env.clock.advance(Duration::from_millis(1));
        let facts = [Fact::Refused(Refusal::new(
            Code::MappingMissing,
            "no number",
        ))];
        let ended = env
            .store
            .finish(&claim.lease, JobOutcome::Failed, &facts, &[]);
        ended.await.unwrap();
    }
    for claim in &claimed[1..] {
        let act = AdminCommand::Handle {
            order: claim.job.order,
        };
        env.store.execute(&act, "Ada", "by hand").await.unwrap();
    }
    let overview = env.get("/ops/api/overview", Some(TOKEN)).await.json();
    let attention = overview["attention"].as_array().unwrap();
    assert_eq!(attention.len(), 1, "{overview}");
    assert_eq!(
        attention[0]["sfOrderId"],
        claimed[0].job.order.as_str(),
        "{overview}"
    );
}

#[tokio::test]
async fn browser_gets_error_page_and_disabled_console_is_404() {
    let env = console_env();
    for (path, status) in [
        ("/ops/orders/zzz", 400),
        ("/ops/orders/801000000000009", 404),
    ] {
        let response = env.get(path, Some(TOKEN)).await;
        assert_eq!(response.status.as_u16(), status, "{path}");
        assert!(
            response.text.contains("href=\"/ops\""),
            "{path}: {}",
            response.text
        );
    }
    let resume = Request::post("/ops/api/act")
        .header("authorization", format!("Bearer {TOKEN}"))
        .body(Body::from(r#"{"act":"resume_worker","reason":"x"}"#));
    let response = env.send(resume.unwrap()).await;
    let done = "Nothing to do: worker was not paused.";
    assert_eq!(response.json()["done"], done);
    let closed = TestEnv::new().get("/ops/orders/zzz", None).await;
    assert_eq!(closed.status, StatusCode::NOT_FOUND);
    assert!(!closed.text.contains("/ops"), "{}", closed.text);
}

#[tokio::test]
async fn control_characters_are_no_rows_or_a_client_error() {
    let env = console_env();
    failed(&env).await;
    for path in [
        "/ops/orders?q=%00",
        "/ops/orders?q=a%1b%5b2J&stage=%00&after=%00.%00",
    ] {
        let page = env.get(path, Some(TOKEN)).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert!(!page.text.contains(order_id(1).as_str()), "{path}");
    }
    let found = env.get("/ops/api/orders?q=%00", Some(TOKEN)).await.json();
    assert_eq!(found["orders"], serde_json::json!([]));
    let ids = ["/ops/orders/%00", "/ops/api/orders/801000000000001%00"];
    for path in ids {
        let response = env.get(path, Some(TOKEN)).await;
        assert_eq!(response.status, StatusCode::BAD_REQUEST, "{path}");
    }
    for reason in ["a\\u0000", "\\u001b[2J", "\\u202egnp.exe"] {
        let body = format!("{{\"act\":\"pause_worker\",\"reason\":\"{reason}\"}}");
        let request = Request::post("/ops/api/act")
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Body::from(body));
        let refused = env.send(request.unwrap()).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{reason}");
    }
    assert!(env.store.pauses().await.unwrap().is_empty());
}
