//! From an approval in Salesforce to a job, over the real wire.

use std::sync::Arc;
use std::time::Duration;

use crate::house::TestEnv;
use domain::id::OrderId;
use domain::job::{Admission, NewJob, ProvisionRequest};
use domain::key::{Channel, EventId, Owner, ReplayId};
use domain::ports::{AdminCommand, Delivery, Entry, Leadership, UndecodableReason};
use domain::time::Timestamp;
use simulators::salesforce::UnaryFault;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_approval_becomes_one_job() {
    let house = TestEnv::new().await;
    let running = house.subscribe();
    let orders = house.approve(130);
    house.until_queued(130).await;
    house.assert_one_job_each(&orders).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_and_a_broken_stream_lose_nothing_and_double_nothing() {
    let house = TestEnv::new().await;
    let running = house.subscribe();
    let mut orders = house.approve(20);
    house.until_queued(20).await;
    running.stop().await;
    orders.extend(house.approve(20));
    let running = house.subscribe();
    house.until_queued(40).await;
    house.salesforce.kill_streams();
    orders.extend(house.approve(20));
    house.until_queued(60).await;
    house.salesforce.republish(orders.first().unwrap().as_str());
    orders.extend(house.approve(1));
    house.until_queued(61).await;
    house.assert_one_job_each(&orders).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_goes_to_the_dead_letters_and_the_stream_goes_on() {
    let house = TestEnv::new().await;
    let running = house.subscribe();
    house.salesforce.publish_raw(vec![0xff; 40], None);
    house
        .salesforce
        .publish_raw(vec![1, 2, 3], Some("no-such-schema-id-00000"));
    let orders = house.approve(1);
    house.until_queued(1).await;
    house.assert_one_job_each(&orders).await;
    assert_eq!(
        house.store.reader.queue_stats().await.unwrap().open_dead_letters,
        2
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activation_whose_event_never_arrived_is_found_by_the_sweep_once() {
    let house = TestEnv::new().await;
    let missed = house.approve(3);
    // Only what comes from now on, so that those three events are never seen.
    let settings = [
        ("SF_EVENTS_REPLAY", "LATEST"),
        ("RECONCILE_EVERY", "1s"),
        ("RECONCILE_AFTER", "0s"),
    ];
    let running = house.subscribe_with(&settings);
    house.until_queued(3).await;
    let later = house.approve(1);
    house.until_queued(4).await;
    let worker = house.work();
    for order in missed.iter().chain(&later) {
        house.until_activation(order, "Activated").await;
        house.assert_provisioned_once(order);
    }
    house.assert_one_job_each(&missed).await;
    house.assert_one_job_each(&later).await;
    worker.stop().await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_missed_with_a_lost_position_is_found_by_the_sweep() {
    for on_loss in ["ALL", "LATEST"] {
        let house = TestEnv::new().await;
        let settings = [
            ("SF_EVENTS_ON_REPLAY_LOSS", on_loss),
            ("RECONCILE_EVERY", "1h"),
            ("RECONCILE_AFTER", "0s"),
        ];
        let running = house.subscribe_with(&settings);
        let mut orders = house.approve(1);
        house.until_queued(1).await;
        running.stop().await;
        orders.extend(house.approve(5));
        // The bus forgets its events, and what our position meant.
        house.salesforce.reset_org();
        let running = house.subscribe_with(&settings);
        house.until_queued(6).await;
        house.assert_one_job_each(&orders).await;
        running.stop().await;
    }
}

#[tokio::test]
async fn an_event_whose_schema_could_not_be_had_is_read_again_when_it_can() {
    let house = TestEnv::new().await;
    house.salesforce.unary_fault(UnaryFault {
        rpc: "GetSchema".to_owned(),
        code: "NOT_FOUND".to_owned(),
        error_code: "schema.not.found".to_owned(),
        when: Default::default(),
    });
    let subscriber = house.subscribe();
    let orders = house.approve(1);
    house
        .until(async || house.store.reader.queue_stats().await.unwrap().open_dead_letters == 1)
        .await;
    let letters = house
        .store
        .reader
        .dead_letters(true, None, 9)
        .await
        .unwrap();
    assert_eq!(
        letters[0].letter.undecodable.reason,
        UndecodableReason::UnknownSchema
    );
    let act = AdminCommand::Redrive {
        letter: letters[0].number,
    };
    house.store.intake.act(&act, "Ada", "mended").await.unwrap();
    house.until_queued(1).await;
    house.assert_one_job_each(&orders).await;
    let queue_stats = house.store.reader.queue_stats().await.unwrap();
    assert_eq!(queue_stats.open_dead_letters, 0);
    subscriber.stop().await;
}

/// A store on a real PostgreSQL refuses a NUL and a long key of an index for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_postgresql_cannot_hold_is_a_dead_letter_between_its_neighbours() {
    let database = test_postgres::Database::create().await;
    let config = job_store::StoreConfig::parse(&database.url()).unwrap();
    let store = job_store::open(&config, Arc::new(runtime::SystemClock))
        .await
        .unwrap();
    let channel = Channel::new("/event/X__e").unwrap();
    let owner = Owner::new("s").unwrap();
    let ttl = Duration::from_secs(60);
    let Leadership::Leader(epoch) = store.intake.lead(&channel, &owner, ttl).await.unwrap() else {
        panic!("nobody else leads");
    };
    let order = |n: u32| OrderId::parse(&format!("801{n:012}")).unwrap();
    let job = |event: &str, n: u32| {
        let request = ProvisionRequest {
            order: order(n),
            idem_key: None,
            correlation: None,
            requested_by: None,
            version: 1,
            created_at: Timestamp::from_millis(1_767_225_600_000),
        };
        NewJob::of_event(&EventId::new(event).unwrap(), request)
    };
    let nul = NewJob {
        requested_by: Some("a\0b".to_owned()),
        ..job("nul", 2)
    };
    // Nothing that compresses, as an index might do.
    let number = |n: u32| n.wrapping_mul(2_654_435_761).to_string();
    let noise: String = (0..20_000_u32).map(number).collect();
    let long = job(&noise[..20_000], 3);
    let jobs = [job("first", 1), nul, long, job("last", 4)];
    let delivery = Delivery {
        channel: channel.clone(),
        epoch,
        entries: jobs.map(Entry::Job).into(),
        cursor: ReplayId::new(vec![7]),
    };
    let expected = [
        Admission::Enqueued,
        Admission::DeadLettered,
        Admission::DeadLettered,
        Admission::Enqueued,
    ];
    let admissions = intake::accept(&*store.intake, &delivery).await.unwrap();
    assert_eq!(admissions, expected);
    let cursor = store.intake.cursor(&channel).await.unwrap().unwrap();
    assert_eq!(cursor.replay_id.as_bytes(), [7]);
    assert_eq!(store.reader.open_dead_letters().await.unwrap(), 2);
    // The bus delivers it again: all of it is known.
    let again = intake::accept(&*store.intake, &delivery).await.unwrap();
    assert_eq!(again, [Admission::SameDelivery; 4]);
}
