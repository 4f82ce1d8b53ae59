//! More than one of each program, as on several machines.

use std::time::{Duration, Instant};

use domain::key::{Channel, Owner};
use rustix::process::Signal;
use simulators::Phase;

use crate::house::{Engine, TestEnv, with};
use crate::process::{Process, page, until_logged};

const WORKER: &str = env!("CARGO_BIN_EXE_victim-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_victim-subscriber");

macro_rules! on_both {
    ($($sqlite:ident, $postgres:ident: $story:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $sqlite() {
            $story(Engine::Sqlite).await;
        }

        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $postgres() {
            $story(Engine::Postgres).await;
        }
    )*};
}

on_both! {
    a_worker_frozen_past_its_lease_does_nothing_when_it_wakes_on_sqlite,
    a_worker_frozen_past_its_lease_does_nothing_when_it_wakes_on_postgres: frozen_worker;
    a_frozen_subscriber_does_not_move_the_cursor_when_it_wakes_on_sqlite,
    a_frozen_subscriber_does_not_move_the_cursor_when_it_wakes_on_postgres: frozen_subscriber;
    a_standby_takes_over_after_a_kill_and_after_a_clean_stop_on_sqlite,
    a_standby_takes_over_after_a_kill_and_after_a_clean_stop_on_postgres: standby;
    three_workers_share_the_queue_on_sqlite,
    three_workers_share_the_queue_on_postgres: shared_queue;
}

/// Frozen with the answer to a read in its hands, right before the intent to place.
async fn frozen_worker(engine: Engine) {
    let house = TestEnv::on(engine).await;
    let settings = house.harmless(house.mortal_worker_settings());
    let (frozen_log, log) = (house.file("frozen.log"), house.file("other.log"));
    let reading = house.whmcs.hold("GetProducts", Phase::After);
    let subscriber = house.subscribe();
    let order = *house.approve(1).first().unwrap();
    let frozen = Process::start(WORKER, &settings, &frozen_log);
    reading.arrived(1).await;
    freeze_between_commits(&house, &frozen).await;
    reading.release();
    let other = Process::start(WORKER, &settings, &log);
    house.until_activation(&order, "Activated").await;
    frozen.signal(Signal::CONT);
    until_logged(&frozen_log, "attempt aborted").await;
    house.assert_provisioned_once(&order);
    assert_eq!(house.whmcs.orders().len(), 1);
    frozen.stop().await;
    other.stop().await;
    subscriber.stop().await;
}

/// A process that is frozen in the middle of a commit holds SQLite's one lock for writers until
/// it wakes, and everybody waits for it. What is shown here is what happens when it did not.
async fn freeze_between_commits(house: &TestEnv, process: &Process) {
    loop {
        process.signal(Signal::STOP);
        let watch = Channel::new("is anybody writing").unwrap();
        let owner = Owner::new("nobody").unwrap();
        if house.store.intake.resign(&watch, &owner).await.is_ok() {
            return;
        }
        process.signal(Signal::CONT);
    }
}

async fn frozen_subscriber(engine: Engine) {
    let house = TestEnv::on(engine).await;
    let settings = house.harmless(house.subscriber_settings());
    let (frozen_log, log) = (house.file("frozen.log"), house.file("other.log"));
    let frozen = Process::start(SUBSCRIBER, &settings, &frozen_log);
    until_logged(&frozen_log, "stream opened").await;
    let mut orders = house.approve(1);
    house.until_queued(1).await;
    freeze_between_commits(&house, &frozen).await;
    let other = Process::start(SUBSCRIBER, &settings, &log);
    orders.extend(house.approve(5));
    house.until_queued(6).await;
    let epoch = house.stream_view().await.leader.map(|(_, epoch, _)| epoch);
    frozen.signal(Signal::CONT);
    orders.extend(house.approve(5));
    house.until_queued(11).await;
    house.assert_one_job_each(&orders).await;
    let now = house.stream_view().await.leader.map(|(_, epoch, _)| epoch);
    assert_eq!(now, epoch, "the one that took over still leads");
    let (status, health) = page(&frozen_log, "subscriber", "/health/sf-events").await;
    assert_eq!(
        (status, health.contains("standby")),
        (200, true),
        "{health}"
    );
    frozen.stop().await;
    other.stop().await;
}

/// With the default lease: within 15 s of a kill, within 2 s of a clean stop.
async fn standby(engine: Engine) {
    let house = TestEnv::on(engine).await;
    let settings = with(house.subscriber_settings(), &[("SUBSCRIBER_LEASE", "10s")]);
    let settings = house.harmless(settings);
    let logs = [1, 2, 3].map(|n| house.file(&format!("subscriber-{n}.log")));
    let first = Process::start(SUBSCRIBER, &settings, &logs[0]);
    until_logged(&logs[0], "stream opened").await;
    let second = Process::start(SUBSCRIBER, &settings, &logs[1]);
    until_logged(&logs[1], "subscriber started").await;
    let mut orders = house.approve(1);
    house.until_queued(1).await;
    let (status, ready) = page(&logs[1], "subscriber", "/readyz").await;
    assert_eq!(status, 200, "a standby is ready: {ready}");
    first.kill().await;
    let killed = Instant::now();
    orders.extend(house.approve(1));
    house.until_queued(2).await;
    let after_kill = killed.elapsed();
    let third = Process::start(SUBSCRIBER, &settings, &logs[2]);
    until_logged(&logs[2], "subscriber started").await;
    let stopped = Instant::now();
    second.stop().await;
    orders.extend(house.approve(1));
    house.until_queued(3).await;
    let after_stop = stopped.elapsed();
    house.assert_one_job_each(&orders).await;
    assert!(after_kill < Duration::from_secs(15), "{after_kill:?}");
    assert!(after_stop < Duration::from_secs(4), "{after_stop:?}");
    third.stop().await;
}

async fn shared_queue(engine: Engine) {
    let house = TestEnv::on(engine).await;
    let subscriber = house.subscribe();
    let workers = [(); 3].map(|()| house.work_with(&[("WORKER_CONCURRENCY", "2")]));
    let orders = house.approve(60);
    for order in &orders {
        house.until_activation(order, "Activated").await;
        house.assert_provisioned_once(order);
    }
    assert!(house.whmcs.duplicates().is_empty());
    for worker in workers {
        worker.stop().await;
    }
    subscriber.stop().await;
}
