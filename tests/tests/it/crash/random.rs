//! The programs die at any moment.

use std::fs;
use std::time::Duration;

use e2e::points::FATES;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::points::Kind;
use super::{SUBSCRIBER, WORKER};
use crate::house::{Engine, TestEnv};
use crate::process::Process;

const SEED: u64 = 20_261_124;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_thirty_random_moments_on_sqlite_they_provision_every_order_once() {
    killed_at_random_moments(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_thirty_random_moments_on_postgres_they_provision_every_order_once() {
    killed_at_random_moments(Engine::Postgres).await;
}

async fn killed_at_random_moments(engine: Engine) {
    let mut random = StdRng::seed_from_u64(SEED);
    let house = TestEnv::on(engine).await;
    let fates = house.file("fates");
    fs::write(&fates, "").unwrap();
    let worker = house.victim_settings(&fates);
    let mut subscriber = house.subscriber_settings();
    subscriber.push((FATES, fates.display().to_string()));
    let log = house.file("victims.log");
    let mut orders = Vec::new();
    let mut programs = [
        Process::start(WORKER, &worker, &log),
        Process::start(SUBSCRIBER, &subscriber, &log),
    ];
    for _ in 0..30 {
        orders.extend(house.approve(2));
        // The moment is what is tried here.
        tokio::time::sleep(Duration::from_millis(random.random_range(5..250))).await;
        let which = usize::from(random.random_bool(0.3));
        let next = match which {
            0 => Process::start(WORKER, &worker, &log),
            _ => Process::start(SUBSCRIBER, &subscriber, &log),
        };
        std::mem::replace(&mut programs[which], next).kill().await;
    }
    assert_eq!(orders.len(), 60);
    let ended = async || house.all_stand(&orders, &["Activated", "Failed"]).await;
    house.until(&ended).await;
    for order in &orders {
        if house.field(order, "Activation_Status__c") == "Failed" {
            house.assert_failed_rightly(order, Kind::Plain, "a random moment");
            house.salesforce.retry(order.as_str()).unwrap();
        }
    }
    house.until(&ended).await;
    for order in &orders {
        house.assert_provisioned_once(order);
    }
    assert!(house.whmcs.duplicates().is_empty() && house.whmcs.doubled_accounts().is_empty());
    for program in programs {
        program.stop().await;
    }
}
