//! Reaction of the programs to SIGTERM and SIGHUP.

use std::time::Duration;

use rustix::process::Signal;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::{Phase, When};

use crate::process::{Process, page, until_logged};
use crate::test_env::TestEnv;

const WORKER: &str = env!("CARGO_BIN_EXE_crashable-worker");
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
    let (status, ready) = page(&log, "subscriber", "/readyz").await;
    assert_eq!(status, 200);
    assert!(ready.contains("degraded"), "{ready}");
    assert!(ready.contains("pre-authorise the user"), "{ready}");
    let (status, health) = page(&log, "subscriber", "/health/sf-events").await;
    assert_eq!(status, 503);
    assert!(health.contains("pre-authorise the user"), "{health}");
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
