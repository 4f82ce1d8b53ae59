//! Crashes of the programs at random moments.

use std::fs;
use std::time::Duration;

use e2e::crash_points::CRASH_POINTS_FILE;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::points::Kind;
use super::{SUBSCRIBER, WORKER};
use crate::process::Process;
use crate::test_env::{Engine, TestEnv};

const SEED: u64 = 20_261_124;

on_both_stores! {
    thirty_random_kills_provision_every_order_once: kill_at_random_moments();
}

async fn kill_at_random_moments(engine: Engine) {
    let mut random = StdRng::seed_from_u64(SEED);
    let env = TestEnv::on(engine).await;
    let crash_points = env.file("crash_points");
    fs::write(&crash_points, "").unwrap();
    let worker = env.crashable_worker_settings(&crash_points);
    let mut subscriber = env.subscriber_settings();
    subscriber.push((CRASH_POINTS_FILE, crash_points.display().to_string()));
    let log = env.file("crashable.log");
    let mut orders = Vec::new();
    let mut programs = [
        Process::start(WORKER, &worker, &log),
        Process::start(SUBSCRIBER, &subscriber, &log),
    ];
    for _ in 0..30 {
        orders.extend(env.approve(2));
        // A random moment, not a condition, is the point of this test.
        tokio::time::sleep(Duration::from_millis(random.random_range(5..250))).await;
        let which = usize::from(random.random_bool(0.3));
        let next = match which {
            0 => Process::start(WORKER, &worker, &log),
            _ => Process::start(SUBSCRIBER, &subscriber, &log),
        };
        std::mem::replace(&mut programs[which], next).kill().await;
    }
    assert_eq!(orders.len(), 60);
    let ended = async || env.all_ended(&orders, &["Activated", "Failed"]).await;
    env.until(&ended).await;
    for order in &orders {
        if env.field(order, "Activation_Status__c") == "Failed" {
            env.assert_failure_explained(order, Kind::Plain, "a random moment");
            env.salesforce.retry(order.as_str()).unwrap();
        }
    }
    env.until(&ended).await;
    for order in &orders {
        env.assert_provisioned_once(order);
    }
    assert!(env.whmcs.duplicates().is_empty() && env.whmcs.duplicate_accounts().is_empty());
    for program in programs {
        program.stop().await;
    }
}
