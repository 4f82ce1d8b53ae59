//! Degraded surroundings: nothing is lost and no restart is needed.

use std::fs;
use std::path::Path;

use e2e::crash_points::short_intervals;
use rustix::process::Resource;
use serde_json::json;
use simulators::When;
use simulators::whmcs::{Fault, FaultId};

use crate::process::{Process, until_logged, until_page};
use crate::proxy::{Proxy, Traffic};
use crate::test_env::{Engine, TestEnv, with};

const WORKER: &str = env!("CARGO_BIN_EXE_crashable-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_crashable-subscriber");

/// Waits until the program is ready, or is not.
async fn until_ready(log: &Path, program: &str, ready: bool) {
    until_page(log, program, "/readyz", |status, _| {
        (status == 200) == ready
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unavailable_database_is_reported_and_waited_for() {
    for traffic in [Traffic::Closed, Traffic::Blocked] {
        let env = TestEnv::on(Engine::Postgres).await;
        let (host, through) = env.postgres_through();
        let proxy = Proxy::before(host).await;
        let url = through(proxy.address);
        let settings = |settings| env.without_crashes(with(settings, &[("DATABASE_URL", &url)]));
        let (subscriber_log, worker_log) = (env.file("subscriber.log"), env.file("worker.log"));
        let subscriber = Process::start(
            SUBSCRIBER,
            &settings(env.subscriber_settings()),
            &subscriber_log,
        );
        let worker = Process::start(WORKER, &settings(env.worker_settings()), &worker_log);
        let first = env.approve(3);
        for order in &first {
            env.until_activation(order, "Activated").await;
        }
        proxy.set(traffic);
        let during = env.approve(3);
        until_ready(&subscriber_log, "subscriber", false).await;
        until_ready(&worker_log, "worker", false).await;
        proxy.set(Traffic::Open);
        until_ready(&subscriber_log, "subscriber", true).await;
        until_ready(&worker_log, "worker", true).await;
        let after = env.approve(3);
        for order in first.iter().chain(&during).chain(&after) {
            env.until_activation(order, "Activated").await;
            env.assert_provisioned_once(order);
        }
        subscriber.stop().await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_loses_no_event() {
    let env = TestEnv::new().await;
    let log = env.file("subscriber.log");
    let settings = env.without_crashes(env.subscriber_settings());
    let subscriber = Process::start_ignoring_file_limits(SUBSCRIBER, &settings, &log);
    until_logged(&log, "stream opened").await;
    let mut orders = env.approve(1);
    env.until_queued(1).await;
    // No file may grow, which SQLite reports as a full disk.
    subscriber.limit(Resource::Fsize, Some(1));
    orders.extend(env.approve(20));
    // The log cannot grow either, but the health page reports the failure.
    until_page(&log, "subscriber", "/health/sf-events", |_, text| {
        text.contains("the job store is unavailable")
    })
    .await;
    subscriber.limit(Resource::Fsize, None);
    env.until_queued(21).await;
    env.assert_one_job_each(&orders).await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn open_circuit_is_probed_and_closes_by_itself() {
    let env = TestEnv::new().await;
    env.whmcs.fault(Fault::new(FaultId::F17).when(When::Always));
    let log = env.file("worker.log");
    let mut settings = env.without_crashes(env.worker_settings());
    settings.push(short_intervals());
    let worker = Process::start(WORKER, &settings, &log);
    let subscriber = env.subscribe();
    let orders = env.approve(20);
    until_logged(&log, "calls suspended").await;
    until_page(&log, "worker", "/readyz", |status, text| {
        status == 200 && text.contains("degraded")
    })
    .await;
    let deferred = async || env.facts_named("held").await == 20;
    env.until(deferred).await;
    // Each running order may have made its first three reads, which run side by side; after that only
    // the probe calls.
    let calls = env.whmcs.calls();
    let of = |action: &str| calls.iter().filter(|call| call.action == action).count();
    let worker_calls = calls.len() - of("getorderstatuses");
    assert!(worker_calls <= 3 * 8, "{calls:?}");
    assert!(of("getclientsdetails") <= 8, "{calls:?}");
    env.whmcs.clear_faults();
    for order in &orders {
        env.until_activation(order, "Activated").await;
        env.assert_provisioned_once(order);
    }
    let text = fs::read_to_string(&log).unwrap();
    assert_eq!(
        text.matches("\"message\":\"calls suspended").count(),
        1,
        "said once"
    );
    worker.stop().await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_use_bounded_memory() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let env = TestEnv::on(engine).await;
        let log = env.file("subscriber.log");
        let settings = env.without_crashes(env.subscriber_settings());
        for n in 0..10_000_u32 {
            let order = format!("801{n:012}");
            let fields = json!({"OrderId__c": order, "IdemKey__c": format!("key-{n}")});
            env.salesforce.publish_event(fields.as_object().unwrap());
        }
        let subscriber = Process::start(SUBSCRIBER, &settings, &log);
        env.until_queued(10_000).await;
        let peak = subscriber.peak_memory_kib();
        assert!(peak < 200 * 1024, "{peak} KiB on {engine:?}");
        subscriber.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consecutive_poison_events_do_not_block_stream() {
    let env = TestEnv::new().await;
    let subscriber = env.subscribe();
    for n in 0..500_u32 {
        let schema = (n % 3 == 0).then_some("no-such-schema-id-00000");
        env.salesforce.publish_raw(n.to_be_bytes().to_vec(), schema);
    }
    let orders = env.approve(1);
    env.until_queued(1).await;
    env.assert_one_job_each(&orders).await;
    let queue_stats = env.store.ports.queue_stats().await.unwrap();
    assert_eq!(queue_stats.open_dead_letters, 500);
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn misspelt_name_degrades_readiness_and_orders_go_on() {
    let env = TestEnv::new().await;
    let config = env.file("bridge.toml");
    let text = "[salesforce.order]\ncompleted_at = \"Activation_Compleated_At__c\"\n";
    fs::write(&config, text).unwrap();
    let mut settings = env.without_crashes(env.worker_settings());
    settings.push(("ORDERBRIDGE_CONFIG", config.display().to_string()));
    let log = env.file("worker.log");
    let worker = Process::start(WORKER, &settings, &log);
    until_logged(&log, "does not fit the configured names").await;
    until_page(&log, "worker", "/readyz", |status, ready| {
        let words = [
            "degraded",
            "Order.Activation_Compleated_At__c",
            "order.completed_at",
        ];
        status == 200 && words.iter().all(|words| ready.contains(words))
    })
    .await;
    let subscriber = env.subscribe();
    let order = *env.approve(1).first().unwrap();
    env.until_activation(&order, "Activated").await;
    worker.stop().await;
    subscriber.stop().await;
}
