//! From an approval in Salesforce to a job, over the real wire.

use domain::ports::JobReader;

use crate::house::House;

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
    assert_eq!(house.store.tally().await.unwrap().open_dead_letters, 2);
    running.stop().await;
}
