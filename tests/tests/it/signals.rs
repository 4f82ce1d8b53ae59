//! Reaction of the programs to SIGTERM and SIGHUP.

use std::time::Duration;

use e2e::crash_points::short_intervals;
use rustix::process::Signal;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::{Phase, When};

use crate::process::{Process, address, page, until_logged, until_page};
use crate::test_env::TestEnv;

const WORKER: &str = env!("CARGO_BIN_EXE_crashable-worker");
const PORTAL: &str = env!("CARGO_BIN_EXE_crashable-portal");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_crashable-subscriber");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_ends_wait_after_rejected_login() {
    let env = TestEnv::new().await;
    let refusal = RestFaultKind::TokenRefused {
        error: "invalid_grant".to_owned(),
        description: "user hasn't approved this consumer".to_owned(),
    };
    env.salesforce
        .fault(RestFault::new(Route::Token, refusal).when(When::Next(1)));
    let log = env.file("subscriber.log");
    let settings = env.without_crashes(env.subscriber_settings());
    let subscriber = Process::start(SUBSCRIBER, &settings, &log);
    until_logged(&log, "Salesforce login failed").await;
    let named = |text: &str| text.contains("pre-authorise the user");
    until_page(&log, "subscriber", "/readyz", |status, ready| {
        status == 200 && ready.contains("degraded") && named(ready)
    })
    .await;
    until_page(&log, "subscriber", "/health/sf-events", |status, health| {
        status == 503 && named(health)
    })
    .await;
    env.approve(1);
    subscriber.signal(Signal::HUP);
    // Much less than the 30 s until the next login attempt.
    tokio::time::timeout(Duration::from_secs(20), env.until_queued(1))
        .await
        .unwrap();
    assert_eq!(page(&log, "subscriber", "/readyz").await.0, 200);
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_lets_worker_read_its_whmcs_secret_again() {
    let env = TestEnv::new().await;
    let (log, file) = (env.file("worker.log"), env.file("whmcs-secret"));
    std::fs::write(&file, "an old secret").unwrap();
    let mut settings = env.without_crashes(env.worker_settings());
    settings.retain(|(name, _)| *name != "WHMCS_SECRET");
    settings.push(("WHMCS_SECRET_FILE", file.display().to_string()));
    settings.push(short_intervals());
    let subscriber = env.subscribe();
    let order = *env.approve(1).first().unwrap();
    let worker = Process::start(WORKER, &settings, &log);
    until_logged(&log, "calls suspended until a probe succeeds").await;
    std::fs::remove_file(&file).unwrap();
    worker.signal(Signal::HUP);
    until_logged(&log, "WHMCS_SECRET_FILE").await;
    std::fs::write(&file, env.whmcs.credentials().secret).unwrap();
    worker.signal(Signal::HUP);
    env.until_activation(&order, "Activated").await;
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_lets_portal_read_its_operator_token_again() {
    let env = TestEnv::new().await;
    let (log, file) = (env.file("portal.log"), env.file("ops-token"));
    let (old, new) = ("token-of-the-operators-1", "token-of-the-operators-2");
    std::fs::write(&file, old).unwrap();
    let mut settings = env.without_crashes(env.common_settings());
    settings.extend([
        ("PORTAL_JWT_SECRET", "s".repeat(32)),
        ("OPS_TOKEN_FILE", file.display().to_string()),
    ]);
    let portal = Process::start(PORTAL, &settings, &log);
    until_logged(&log, "portal started").await;
    let url = format!("http://{}/ops/api/orders", address(&log, "portal").await);
    let status = async |token: &str| {
        let answer = reqwest::Client::new().get(&url).bearer_auth(token).send();
        answer.await.unwrap().status().as_u16()
    };
    assert_eq!((status(old).await, status(new).await), (200, 401));
    std::fs::write(&file, new).unwrap();
    portal.signal(Signal::HUP);
    until_logged(&log, "settings read again").await;
    assert_eq!((status(old).await, status(new).await), (401, 200));
    portal.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_worker_finishes_call_and_successor_continues() {
    let env = TestEnv::new().await;
    let log = env.file("worker.log");
    let settings = env.without_crashes(env.short_lease_worker_settings());
    let accept = env.whmcs.hold("AcceptOrder", Phase::After);
    let subscriber = env.subscribe();
    let order = *env.approve(1).first().unwrap();
    let worker = Process::start(WORKER, &settings, &log);
    accept.arrived(1).await;
    worker.signal(Signal::TERM);
    accept.release();
    let mut worker = worker;
    assert!(worker.ended().await.success());
    let next = env.work();
    env.until_activation(&order, "Activated").await;
    env.assert_provisioned_once(&order);
    next.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drain_timeout_and_second_signal_leave_call_to_its_lease() {
    for (drain, second) in [("100ms", false), ("1h", true)] {
        let env = TestEnv::new().await;
        let log = env.file("worker.log");
        let mut settings = env.without_crashes(env.short_lease_worker_settings());
        settings.push(("WORKER_DRAIN", drain.to_owned()));
        settings.retain(|(name, _)| *name != "WHMCS_TIMEOUT");
        let place = env.whmcs.hold("AddOrder", Phase::After);
        let subscriber = env.subscribe();
        let order = *env.approve(1).first().unwrap();
        let mut worker = Process::start(WORKER, &settings, &log);
        place.arrived(1).await;
        worker.signal(Signal::TERM);
        if second {
            // Two signals at once may be delivered as one.
            until_logged(&log, "draining").await;
            worker.signal(Signal::INT);
        }
        let ended = tokio::time::timeout(Duration::from_secs(30), worker.ended());
        assert_eq!(ended.await.unwrap().success(), !second);
        place.release();
        let next = env.work();
        env.until_activation(&order, "Activated").await;
        env.assert_provisioned_once(&order);
        next.stop().await;
        subscriber.stop().await;
    }
}
