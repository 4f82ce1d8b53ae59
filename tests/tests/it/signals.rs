//! What the programs do when they are told to stop, or that something was mended.

use std::time::Duration;

use rustix::process::Signal;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::{Phase, When};

use crate::house::TestEnv;
use crate::process::{Process, page, until_logged};

const WORKER: &str = env!("CARGO_BIN_EXE_victim-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_victim-subscriber");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_login_shows_and_a_hangup_ends_the_wait() {
    let house = TestEnv::new().await;
    let refusal = RestFaultKind::TokenRefused {
        error: "invalid_grant".to_owned(),
        description: "user hasn't approved this consumer".to_owned(),
    };
    house
        .salesforce
        .fault(RestFault::new(Route::Token, refusal).when(When::Next(1)));
    let log = house.file("subscriber.log");
    let settings = house.harmless(house.subscriber_settings());
    let subscriber = Process::start(SUBSCRIBER, &settings, &log);
    until_logged(&log, "Salesforce login failed").await;
    let (status, ready) = page(&log, "subscriber", "/readyz").await;
    assert_eq!(status, 503);
    assert!(ready.contains("pre-authorise the user"), "{ready}");
    let (status, health) = page(&log, "subscriber", "/health/sf-events").await;
    assert_eq!(status, 503);
    assert!(health.contains("pre-authorise the user"), "{health}");
    house.approve(1);
    subscriber.signal(Signal::HUP);
    // Far less than the half minute that the next login would have waited.
    tokio::time::timeout(Duration::from_secs(20), house.until_queued(1))
        .await
        .unwrap();
    assert_eq!(page(&log, "subscriber", "/readyz").await.0, 200);
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopping_worker_lets_the_call_in_hand_finish_and_the_next_one_goes_on() {
    let house = TestEnv::new().await;
    let log = house.file("worker.log");
    let settings = house.harmless(house.mortal_worker_settings());
    let accept = house.whmcs.hold("AcceptOrder", Phase::After);
    let subscriber = house.subscribe();
    let order = *house.approve(1).first().unwrap();
    let worker = Process::start(WORKER, &settings, &log);
    accept.arrived(1).await;
    worker.signal(Signal::TERM);
    accept.release();
    let mut worker = worker;
    assert!(worker.ended().await.success());
    let next = house.work();
    house.until_activation(&order, "Activated").await;
    house.assert_provisioned_once(&order);
    next.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_outlasts_the_drain_is_left_to_its_lease_and_a_second_signal_ends_at_once() {
    for (drain, second) in [("100ms", false), ("1h", true)] {
        let house = TestEnv::new().await;
        let log = house.file("worker.log");
        let mut settings = house.harmless(house.mortal_worker_settings());
        settings.push(("WORKER_DRAIN", drain.to_owned()));
        settings.retain(|(name, _)| *name != "WHMCS_TIMEOUT");
        let place = house.whmcs.hold("AddOrder", Phase::After);
        let subscriber = house.subscribe();
        let order = *house.approve(1).first().unwrap();
        let mut worker = Process::start(WORKER, &settings, &log);
        place.arrived(1).await;
        worker.signal(Signal::TERM);
        if second {
            // Two signals at once may be heard as one.
            until_logged(&log, "draining").await;
            worker.signal(Signal::INT);
        }
        let ended = tokio::time::timeout(Duration::from_secs(30), worker.ended());
        assert_eq!(ended.await.unwrap().success(), !second);
        place.release();
        let next = house.work();
        house.until_activation(&order, "Activated").await;
        house.assert_provisioned_once(&order);
        next.stop().await;
        subscriber.stop().await;
    }
}
