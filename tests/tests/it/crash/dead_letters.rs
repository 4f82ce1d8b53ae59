//! Crashes of a subscriber around the commit of a redrive.

use std::fs;

use domain::job::JobOutcome;
use e2e::crash_points::{CRASH_POINTS_FILE, reached_file};
use operations::AdminCommand;
use simulators::salesforce::UnaryFault;

use super::SUBSCRIBER;
use super::points::around;
use crate::test_env::{Engine, TestEnv};

on_both_stores! {
    crash_during_redrive_creates_one_job: crash_during_redrive();
}

async fn crash_during_redrive(engine: Engine) {
    let env = TestEnv::on(engine).await;
    env.salesforce.unary_fault(UnaryFault {
        rpc: "GetSchema".to_owned(),
        code: "NOT_FOUND".to_owned(),
        error_code: "schema.not.found".to_owned(),
        when: Default::default(),
    });
    let crash_points = env.file("crash_points");
    let points = around("store.redrive").map(|point| format!("* {point}"));
    fs::write(&crash_points, points.join("\n")).unwrap();
    let mut settings = env.subscriber_settings();
    settings.push((CRASH_POINTS_FILE, crash_points.display().to_string()));
    let order = *env.approve(1).first().unwrap();
    let open = async || {
        env.store
            .ports
            .queue_stats()
            .await
            .unwrap()
            .open_dead_letters
    };
    let kept = async || open().await == 1;
    env.restart_until(SUBSCRIBER, &settings, kept).await;
    let dead_letters = env.store.ports.dead_letters(true, None, 9).await;
    let dead_letter = dead_letters.unwrap()[0].number;
    let command = AdminCommand::Redrive { dead_letter };
    env.store
        .ports
        .execute(&command, "Ada", "fixed")
        .await
        .unwrap();
    let reached = async || {
        let reached = fs::read_to_string(reached_file(&crash_points)).unwrap_or_default();
        reached.lines().count() == points.len() && open().await == 0
    };
    env.restart_until(SUBSCRIBER, &settings, reached).await;
    // The successor has nothing left to redrive, and the stream continues.
    let subscriber = env.subscribe();
    let worker = env.work();
    let next = *env.approve(1).first().unwrap();
    for order in [order, next] {
        env.until_activation(&order, "Activated").await;
    }
    // A stopping worker finishes its current call.
    worker.stop().await;
    subscriber.stop().await;
    for order in [order, next] {
        env.assert_provisioned_once(&order);
        let jobs = env.store.ports.jobs_of(order).await.unwrap();
        let finished_jobs: Vec<_> = jobs.iter().map(|job| job.stage.outcome()).collect();
        assert_eq!(finished_jobs, [Some(JobOutcome::Succeeded)]);
    }
    let dead_letters = env.store.ports.dead_letters(false, None, 9).await;
    let dead_letters = dead_letters.unwrap();
    assert_eq!(dead_letters.len(), 1);
    assert!(dead_letters[0].closed_at.is_some());
}
