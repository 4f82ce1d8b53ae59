//! What happens when the surroundings give way: nothing is lost, and no restart is needed.

use std::fs;
use std::path::Path;
use std::time::Duration;

use e2e::points::brisk;
use rustix::process::Resource;
use serde_json::json;
use simulators::When;
use simulators::whmcs::{Fault, FaultId};

use crate::house::{Engine, TestEnv, with};
use crate::process::{Process, page, until_logged};
use crate::proxy::{Proxy, Road};

const WORKER: &str = env!("CARGO_BIN_EXE_victim-worker");
const SUBSCRIBER: &str = env!("CARGO_BIN_EXE_victim-subscriber");

/// Returns once the program is ready, or is not.
async fn until_ready(log: &Path, program: &str, ready: bool) {
    until_page(log, program, "/readyz", |status, _| {
        (status == 200) == ready
    })
    .await;
}

/// Returns once a page of the program looks so.
async fn until_page(log: &Path, program: &str, path: &str, looks: impl Fn(u16, &str) -> bool) {
    let looked = async {
        loop {
            let (status, text) = page(log, program, path).await;
            if looks(status, &text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looked)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_or_hangs_shows_and_is_waited_for() {
    for road in [Road::Closed, Road::Blocked] {
        let house = TestEnv::on(Engine::Postgres).await;
        let (host, through) = house.postgres_through();
        let proxy = Proxy::before(host).await;
        let url = through(proxy.address);
        let settings = |settings| house.harmless(with(settings, &[("DATABASE_URL", &url)]));
        let (subscriber_log, worker_log) = (house.file("subscriber.log"), house.file("worker.log"));
        let subscriber = Process::start(
            SUBSCRIBER,
            &settings(house.subscriber_settings()),
            &subscriber_log,
        );
        let worker = Process::start(WORKER, &settings(house.worker_settings()), &worker_log);
        let first = house.approve(3);
        for order in &first {
            house.until_activation(order, "Activated").await;
        }
        proxy.set(road);
        let during = house.approve(3);
        until_ready(&subscriber_log, "subscriber", false).await;
        until_ready(&worker_log, "worker", false).await;
        proxy.set(Road::Open);
        until_ready(&subscriber_log, "subscriber", true).await;
        until_ready(&worker_log, "worker", true).await;
        let after = house.approve(3);
        for order in first.iter().chain(&during).chain(&after) {
            house.until_activation(order, "Activated").await;
            house.assert_provisioned_once(order);
        }
        subscriber.stop().await;
        worker.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_loses_no_event_and_is_waited_for() {
    let house = TestEnv::new().await;
    let log = house.file("subscriber.log");
    let settings = house.harmless(house.subscriber_settings());
    let subscriber = Process::start_ignoring_file_limits(SUBSCRIBER, &settings, &log);
    until_logged(&log, "stream opened").await;
    let mut orders = house.approve(1);
    house.until_queued(1).await;
    // No file may grow: to SQLite that is a disk without room.
    subscriber.limit(Resource::Fsize, Some(1));
    orders.extend(house.approve(20));
    // The log may not grow either, but the health page tells.
    until_page(&log, "subscriber", "/health/sf-events", |_, text| {
        text.contains("the job store is unavailable")
    })
    .await;
    subscriber.limit(Resource::Fsize, None);
    house.until_queued(21).await;
    house.assert_one_job_each(&orders).await;
    subscriber.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_whmcs_closes_is_probed_and_opens_by_itself() {
    let house = TestEnv::new().await;
    house
        .whmcs
        .fault(Fault::new(FaultId::F17).when(When::Always));
    let log = house.file("worker.log");
    let mut settings = house.harmless(house.worker_settings());
    settings.push(brisk());
    let worker = Process::start(WORKER, &settings, &log);
    let subscriber = house.subscribe();
    let orders = house.approve(20);
    until_logged(&log, "calls suspended").await;
    until_ready(&log, "worker", false).await;
    let settled = async || house.facts_named("held").await == 20;
    house.until(settled).await;
    // Each order in hand at that moment may have asked once; from then on only the probe asks.
    let calls = house.whmcs.calls();
    let asked = calls
        .iter()
        .filter(|call| call.action != "getorderstatuses");
    assert!(asked.count() <= 8, "{calls:?}");
    house.whmcs.clear_faults();
    for order in &orders {
        house.until_activation(order, "Activated").await;
        house.assert_provisioned_once(order);
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
async fn ten_thousand_events_at_once_stay_out_of_memory() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let house = TestEnv::on(engine).await;
        let log = house.file("subscriber.log");
        let settings = house.harmless(house.subscriber_settings());
        for n in 0..10_000_u32 {
            let order = format!("801{n:012}");
            let fields = json!({"OrderId__c": order, "IdemKey__c": format!("key-{n}")});
            house.salesforce.publish_event(fields.as_object().unwrap());
        }
        let subscriber = Process::start(SUBSCRIBER, &settings, &log);
        house.until_queued(10_000).await;
        let peak = subscriber.peak_memory_kib();
        assert!(peak < 200 * 1024, "{peak} KiB on {engine:?}");
        subscriber.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_events_in_a_row_hold_nothing_up() {
    let house = TestEnv::new().await;
    let subscriber = house.subscribe();
    for n in 0..500_u32 {
        let schema = (n % 3 == 0).then_some("no-such-schema-id-00000");
        house
            .salesforce
            .publish_raw(n.to_be_bytes().to_vec(), schema);
    }
    let orders = house.approve(1);
    house.until_queued(1).await;
    house.assert_one_job_each(&orders).await;
    let queue_stats = house.store.reader.queue_stats().await.unwrap();
    assert_eq!(queue_stats.open_dead_letters, 500);
    subscriber.stop().await;
}
