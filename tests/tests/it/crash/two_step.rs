//! Crashes of a worker that reports success in two writes, also between both.

use super::points::{Kind, happy_path};
use crate::test_env::{Engine, TestEnv, with};

on_both_stores! {
    crash_around_either_write_completes_the_second: crash_in_two_step_org();
}

async fn crash_in_two_step_org(engine: Engine) {
    let env = TestEnv::with_activated_category(engine).await;
    let crash_points = env.file("crash_points");
    let config = env.two_step_setting();
    let settings = env.crashable_worker_settings(&crash_points);
    // One order at a time: a crash must not hit another one while it is activated.
    let settings = with(
        settings,
        &[(config[0].0, &config[0].1), ("WORKER_CONCURRENCY", "1")],
    );
    let subscriber = env.subscribe();
    let mut cases = happy_path(Kind::Plain);
    cases.retain(|(_, point)| {
        [
            "salesforce.order_guard",
            "salesforce.report",
            "queue.finish",
        ]
        .iter()
        .any(|name| point.ends_with(name))
    });
    for _ in 0..4 {
        if !cases.is_empty() {
            env.crash_workers_at(&mut cases, &crash_points, &settings)
                .await;
        }
    }
    assert!(cases.is_empty(), "no crash at {cases:#?}");
    assert!(env.whmcs.duplicates().is_empty() && env.whmcs.duplicate_accounts().is_empty());
    for order in env.salesforce.orders() {
        assert_eq!(order["StatusCode"], "Activated");
        let failed = env.salesforce.api_writes(order["Id"].as_str().unwrap());
        assert!(
            failed
                .iter()
                .all(|write| write.text("Status") != Some("Failed"))
        );
    }
    subscriber.stop().await;
}
