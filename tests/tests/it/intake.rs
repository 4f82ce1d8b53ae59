//! From an approval in Salesforce to a job, over the real protocols.

use std::sync::Arc;
use std::time::Duration;

use crate::test_env::{Engine, TestEnv};
use domain::job::{Admission, NewJob};
use domain::ports::{Entry, UndecodableReason};
use operations::AdminCommand;
use simulators::salesforce::{ManagedSubscription, SalesforceOptions, UnaryFault};
use simulators::whmcs::WhmcsOptions;
use testkit::{channel, delivery, lead, new_job, order_id};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_approval_becomes_one_job() {
    let env = TestEnv::new().await;
    let running = env.subscribe();
    let orders = env.approve(130);
    env.until_queued(130).await;
    env.assert_one_job_each(&orders).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restart_and_broken_stream_neither_lose_nor_duplicate_events() {
    let env = TestEnv::new().await;
    let running = env.subscribe();
    let mut orders = env.approve(20);
    env.until_queued(20).await;
    running.stop().await;
    orders.extend(env.approve(20));
    let running = env.subscribe();
    env.until_queued(40).await;
    env.salesforce.kill_streams();
    orders.extend(env.approve(20));
    env.until_queued(60).await;
    env.salesforce.republish(orders.first().unwrap().as_str());
    orders.extend(env.approve(1));
    env.until_queued(61).await;
    env.assert_one_job_each(&orders).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_event_becomes_dead_letter_and_stream_continues() {
    let env = TestEnv::new().await;
    let running = env.subscribe();
    env.salesforce.publish_raw(vec![0xff; 40], None);
    env.salesforce
        .publish_raw(vec![1, 2, 3], Some("no-such-schema-id-00000"));
    let orders = env.approve(1);
    env.until_queued(1).await;
    env.assert_one_job_each(&orders).await;
    assert_eq!(
        env.store
            .ports
            .queue_stats()
            .await
            .unwrap()
            .open_dead_letters,
        2
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweep_enqueues_order_with_missed_event_once() {
    let env = TestEnv::new().await;
    let missed = env.approve(3);
    // `LATEST` skips the events of the first three orders.
    let settings = [
        ("SF_EVENTS_REPLAY", "LATEST"),
        ("RECONCILE_EVERY", "1s"),
        ("RECONCILE_AFTER", "0s"),
    ];
    let running = env.subscribe_with(&settings);
    env.until_queued(3).await;
    let later = env.approve(1);
    env.until_queued(4).await;
    let worker = env.work();
    for order in missed.iter().chain(&later) {
        env.until_activation(order, "Activated").await;
        env.assert_provisioned_once(order);
    }
    env.assert_one_job_each(&missed).await;
    env.assert_one_job_each(&later).await;
    worker.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweep_finds_events_missed_after_cursor_loss() {
    for on_loss in ["ALL", "LATEST"] {
        let env = TestEnv::new().await;
        let settings = [
            ("SF_EVENTS_ON_REPLAY_LOSS", on_loss),
            ("RECONCILE_EVERY", "1h"),
            ("RECONCILE_AFTER", "0s"),
        ];
        let running = env.subscribe_with(&settings);
        let mut orders = env.approve(1);
        env.until_queued(1).await;
        running.stop().await;
        orders.extend(env.approve(5));
        // Invalidates the retained events and every cursor.
        env.salesforce.reset_org();
        let running = env.subscribe_with(&settings);
        env.until_queued(6).await;
        env.assert_one_job_each(&orders).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn redrive_succeeds_once_schema_is_available() {
    let env = TestEnv::new().await;
    env.salesforce.unary_fault(UnaryFault {
        rpc: "GetSchema".to_owned(),
        code: "NOT_FOUND".to_owned(),
        error_code: "schema.not.found".to_owned(),
        when: Default::default(),
    });
    let subscriber = env.subscribe();
    let orders = env.approve(1);
    env.until(async || {
        env.store
            .ports
            .queue_stats()
            .await
            .unwrap()
            .open_dead_letters
            == 1
    })
    .await;
    let dead_letters = env.store.ports.dead_letters(true, None, 9).await.unwrap();
    assert_eq!(
        dead_letters[0].dead_letter.undecodable.reason,
        UndecodableReason::UnknownSchema
    );
    let command = AdminCommand::Redrive {
        dead_letter: dead_letters[0].number,
    };
    env.store
        .ports
        .execute(&command, "Ada", "fixed")
        .await
        .unwrap();
    env.until_queued(1).await;
    env.assert_one_job_each(&orders).await;
    let queue_stats = env.store.ports.queue_stats().await.unwrap();
    assert_eq!(queue_stats.open_dead_letters, 0);
    subscriber.stop().await;
}

/// PostgreSQL rejects a NUL character and an oversized index key permanently.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unstorable_event_is_dead_lettered_alone() {
    let database = test_postgres::Database::create().await;
    let config = job_store::StoreConfig::parse(&database.url()).unwrap();
    let store = job_store::open(&config, Arc::new(runtime::SystemClock))
        .await
        .unwrap();
    let epoch = lead(&*store.ports, &channel(), "s", Duration::from_secs(60)).await;
    let job = |event: &str, n: u32| new_job(event, order_id(n), None);
    let nul = NewJob {
        requested_by: Some("a\0b".to_owned()),
        ..job("nul", 2)
    };
    // Incompressible, since an index may compress its keys.
    let number = |n: u32| n.wrapping_mul(2_654_435_761).to_string();
    let noise: String = (0..20_000_u32).map(number).collect();
    let long = job(&noise[..20_000], 3);
    let jobs = [job("first", 1), nul, long, job("last", 4)];
    let delivery = delivery(epoch, jobs.map(Entry::Job).into(), 7);
    let expected = [
        Admission::Enqueued,
        Admission::DeadLettered,
        Admission::DeadLettered,
        Admission::Enqueued,
    ];
    let admissions = intake::accept(&*store.ports, &delivery).await.unwrap();
    assert_eq!(admissions, expected);
    let cursor = store.ports.cursor(&channel()).await.unwrap().unwrap();
    assert_eq!(cursor.replay_id.as_bytes(), [7]);
    assert_eq!(store.ports.open_dead_letters().await.unwrap(), 2);
    // The second delivery is deduplicated.
    let again = intake::accept(&*store.ports, &delivery).await.unwrap();
    assert_eq!(again, [Admission::SameDelivery; 4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn managed_subscription_behind_or_ahead_of_the_cursor_loses_and_doubles_nothing() {
    const NAME: &str = "Order_Bridge";
    let mut org = SalesforceOptions::default();
    org.bus.managed = vec![ManagedSubscription::new(NAME)];
    org.bus.keepalive = Duration::from_millis(100);
    let env = TestEnv::between(org, WhmcsOptions::default(), Engine::Sqlite).await;
    let settings = [
        ("SF_MANAGED_SUBSCRIPTION", NAME),
        ("RECONCILE_EVERY", "1s"),
        ("RECONCILE_AFTER", "0s"),
    ];
    let running = env.subscribe_with(&settings);
    let mut orders = env.approve(5);
    env.until_queued(5).await;
    assert_eq!(env.salesforce.bus_stats().managed_streams, 1);
    let committed = || env.salesforce.managed_state(NAME).committed;
    env.until(async || {
        let cursor = env.stream_view().await.cursor;
        cursor.is_some_and(|cursor| Some(cursor.replay_id.to_hex()) == committed())
    })
    .await;
    running.stop().await;

    // Behind: Salesforce forgot its position, and sends every event again.
    env.salesforce.set_managed_position(NAME, None);
    let running = env.subscribe_with(&settings);
    orders.extend(env.approve(1));
    env.until_queued(6).await;
    running.stop().await;

    // Ahead: this order's event is never sent; the sweep finds the order.
    orders.extend(env.approve(1));
    let published = env.salesforce.published();
    let last = published.last().map(|event| event.replay_id.as_str());
    env.salesforce.set_managed_position(NAME, last);
    let running = env.subscribe_with(&settings);
    env.until_queued(7).await;
    env.assert_one_job_each(&orders).await;
    running.stop().await;
}
