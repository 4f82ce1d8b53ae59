//! From an approval in Salesforce to a job, over the real wire.

use crate::house::House;
use domain::ports::{Act, UndecodableReason};
use simulators::salesforce::UnaryFault;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_approval_becomes_one_job() {
    let house = House::new().await;
    let running = house.subscribe();
    let orders = house.approve(130);
    house.until_queued(130).await;
    house.assert_one_job_each(&orders).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_and_a_broken_stream_lose_nothing_and_double_nothing() {
    let house = House::new().await;
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
    let house = House::new().await;
    let running = house.subscribe();
    house.salesforce.publish_raw(vec![0xff; 40], None);
    house
        .salesforce
        .publish_raw(vec![1, 2, 3], Some("no-such-schema-id-00000"));
    let orders = house.approve(1);
    house.until_queued(1).await;
    house.assert_one_job_each(&orders).await;
    assert_eq!(
        house.store.reader.tally().await.unwrap().open_dead_letters,
        2
    );
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_activation_whose_event_never_arrived_is_found_by_the_sweep_once() {
    let house = House::new().await;
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
        let house = House::new().await;
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
    let house = House::new().await;
    house.salesforce.unary_fault(UnaryFault {
        rpc: "GetSchema".to_owned(),
        code: "NOT_FOUND".to_owned(),
        error_code: "schema.not.found".to_owned(),
        when: Default::default(),
    });
    let subscriber = house.subscribe();
    let orders = house.approve(1);
    house
        .until(async || house.store.reader.tally().await.unwrap().open_dead_letters == 1)
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
    let act = Act::Redrive {
        letter: letters[0].number,
    };
    house.store.intake.act(&act, "Ada", "mended").await.unwrap();
    house.until_queued(1).await;
    house.assert_one_job_each(&orders).await;
    let tally = house.store.reader.tally().await.unwrap();
    assert_eq!(tally.open_dead_letters, 0);
    subscriber.stop().await;
}
