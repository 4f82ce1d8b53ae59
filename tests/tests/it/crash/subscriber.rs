//! Crashes of a subscriber at every crash point.

use std::fs;

use e2e::crash_points::{CRASH_POINTS_FILE, reached_file};

use super::SUBSCRIBER;
use super::points::around;
use crate::test_env::{Engine, TestEnv};

on_both_stores! {
    subscriber_crash_at_any_point_loses_and_duplicates_nothing: crash_at_every_point();
}

async fn crash_at_every_point(engine: Engine) {
    let env = TestEnv::on(engine).await;
    let points: Vec<_> = [
        "store.lead",
        "store.cursor",
        "source.open",
        "store.accept events",
    ]
    .into_iter()
    .flat_map(around)
    .chain(["after source.next events".to_owned()])
    .collect();
    let lines: Vec<_> = points.iter().map(|point| format!("* {point}\n")).collect();
    let crash_points = env.file("crash_points");
    fs::write(&crash_points, lines.concat()).unwrap();
    let mut settings = env.subscriber_settings();
    settings.push((CRASH_POINTS_FILE, crash_points.display().to_string()));
    let orders = env.approve(60);
    let reached = async || {
        let reached = fs::read_to_string(reached_file(&crash_points)).unwrap_or_default();
        let all = points.len() == reached.lines().count();
        all && env.has_jobs(60).await
    };
    env.restart_until(SUBSCRIBER, &settings, reached).await;
    env.assert_one_job_each(&orders).await;
    let worker = env.work();
    for order in &orders {
        env.until_activation(order, "Activated").await;
        env.assert_provisioned_once(order);
    }
    worker.stop().await;
}
