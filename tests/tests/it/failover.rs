//! Several instances of each program, as on several machines.

use std::time::{Duration, Instant};

use domain::key::{Channel, Owner};
use rustix::process::Signal;
use simulators::Phase;

use crate::process::{Process, page, until_logged, until_page};
use crate::test_env::{Engine, TestEnv, with};

const WORKER: &str = env!("CARGO_BIN_EXE_crashable-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_crashable-subscriber");

on_both_stores! {
    worker_frozen_past_its_lease_makes_no_calls: frozen_worker();
    frozen_subscriber_does_not_move_cursor: frozen_subscriber();
    standby_takes_over_after_kill_and_clean_stop: standby();
    three_workers_share_the_queue: shared_queue();
}

/// Freezes a worker after a read, just before it records the intent to place.
async fn frozen_worker(engine: Engine) {
    let env = TestEnv::on(engine).await;
    let settings = env.without_crashes(env.short_lease_worker_settings());
    let (frozen_log, log) = (env.file("frozen.log"), env.file("other.log"));
    let reading = env.whmcs.hold("GetProducts", Phase::After);
    let subscriber = env.subscribe();
    let order = *env.approve(1).first().unwrap();
    let frozen = Process::start(WORKER, &settings, &frozen_log);
    reading.arrived(1).await;
    freeze_between_commits(&env, &frozen).await;
    reading.release();
    let other = Process::start(WORKER, &settings, &log);
    env.until_activation(&order, "Activated").await;
    frozen.signal(Signal::CONT);
    until_logged(&frozen_log, "attempt aborted").await;
    env.assert_provisioned_once(&order);
    assert_eq!(env.whmcs.orders().len(), 1);
    frozen.stop().await;
    other.stop().await;
    subscriber.stop().await;
}

/// A process frozen during a commit would keep SQLite's write lock until it wakes. This test
/// covers a freeze between commits.
async fn freeze_between_commits(env: &TestEnv, process: &Process) {
    loop {
        process.signal(Signal::STOP);
        let watch = Channel::new("write lock probe").unwrap();
        let owner = Owner::new("probe").unwrap();
        if env.store.ports.resign(&watch, &owner).await.is_ok() {
            return;
        }
        process.signal(Signal::CONT);
    }
}

async fn frozen_subscriber(engine: Engine) {
    let env = TestEnv::on(engine).await;
    let settings = env.without_crashes(env.subscriber_settings());
    let (frozen_log, log) = (env.file("frozen.log"), env.file("other.log"));
    let frozen = Process::start(SUBSCRIBER, &settings, &frozen_log);
    until_logged(&frozen_log, "stream opened").await;
    let mut orders = env.approve(1);
    env.until_queued(1).await;
    freeze_between_commits(&env, &frozen).await;
    let other = Process::start(SUBSCRIBER, &settings, &log);
    orders.extend(env.approve(5));
    env.until_queued(6).await;
    let epoch = env.stream_view().await.leader.map(|(_, epoch, _)| epoch);
    frozen.signal(Signal::CONT);
    orders.extend(env.approve(5));
    env.until_queued(11).await;
    env.assert_one_job_each(&orders).await;
    let now = env.stream_view().await.leader.map(|(_, epoch, _)| epoch);
    assert_eq!(now, epoch, "the new leader keeps leading");
    // It learns that it leads no more when it renews its lease or tries to commit.
    let stands_by = |status, health: &str| status == 200 && health.contains("standby");
    until_page(&frozen_log, "subscriber", "/health/sf-events", stands_by).await;
    frozen.stop().await;
    other.stop().await;
}

/// With the default lease: within 15 s of a kill, within 2 s of a clean stop.
async fn standby(engine: Engine) {
    let env = TestEnv::on(engine).await;
    let settings = with(env.subscriber_settings(), &[("SUBSCRIBER_LEASE", "10s")]);
    let settings = env.without_crashes(settings);
    let logs = [1, 2, 3].map(|n| env.file(&format!("subscriber-{n}.log")));
    let first = Process::start(SUBSCRIBER, &settings, &logs[0]);
    until_logged(&logs[0], "stream opened").await;
    let second = Process::start(SUBSCRIBER, &settings, &logs[1]);
    until_logged(&logs[1], "subscriber started").await;
    let mut orders = env.approve(1);
    env.until_queued(1).await;
    let (status, ready) = page(&logs[1], "subscriber", "/readyz").await;
    assert_eq!(status, 200, "a standby is ready: {ready}");
    first.kill().await;
    let killed = Instant::now();
    orders.extend(env.approve(1));
    env.until_queued(2).await;
    let after_kill = killed.elapsed();
    let third = Process::start(SUBSCRIBER, &settings, &logs[2]);
    until_logged(&logs[2], "subscriber started").await;
    let stopped = Instant::now();
    second.stop().await;
    orders.extend(env.approve(1));
    env.until_queued(3).await;
    let after_stop = stopped.elapsed();
    env.assert_one_job_each(&orders).await;
    assert!(after_kill < Duration::from_secs(15), "{after_kill:?}");
    assert!(after_stop < Duration::from_secs(4), "{after_stop:?}");
    third.stop().await;
}

async fn shared_queue(engine: Engine) {
    let env = TestEnv::on(engine).await;
    let subscriber = env.subscribe();
    let workers = [(); 3].map(|()| env.work_with(&[("WORKER_CONCURRENCY", "2")]));
    let orders = env.approve(60);
    for order in &orders {
        env.until_activation(order, "Activated").await;
        env.assert_provisioned_once(order);
    }
    assert!(env.whmcs.duplicates().is_empty());
    for worker in workers {
        worker.stop().await;
    }
    subscriber.stop().await;
}
