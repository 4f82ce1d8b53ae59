//! A subscriber dies around the commit of a dead letter that is read again.

use std::fs;

use domain::job::JobOutcome;
use domain::ports::AdminCommand;
use e2e::points::{FATES, reached_file};
use simulators::salesforce::UnaryFault;

use super::SUBSCRIBER;
use super::points::around;
use crate::house::{Engine, TestEnv};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_the_commit_of_a_letter_on_sqlite_it_makes_one_job_of_it() {
    killed_around_the_commit_of_a_letter(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_around_the_commit_of_a_letter_on_postgres_it_makes_one_job_of_it() {
    killed_around_the_commit_of_a_letter(Engine::Postgres).await;
}

async fn killed_around_the_commit_of_a_letter(engine: Engine) {
    let house = TestEnv::on(engine).await;
    house.salesforce.unary_fault(UnaryFault {
        rpc: "GetSchema".to_owned(),
        code: "NOT_FOUND".to_owned(),
        error_code: "schema.not.found".to_owned(),
        when: Default::default(),
    });
    let fates = house.file("fates");
    let points = around("store.redrive").map(|point| format!("* {point}"));
    fs::write(&fates, points.join("\n")).unwrap();
    let mut settings = house.subscriber_settings();
    settings.push((FATES, fates.display().to_string()));
    let order = *house.approve(1).first().unwrap();
    let open = async || house.store.reader.queue_stats().await.unwrap().open_dead_letters;
    let kept = async || open().await == 1;
    house.outlive(SUBSCRIBER, &settings, kept).await;
    let letters = house.store.reader.dead_letters(true, None, 9).await;
    let letter = letters.unwrap()[0].number;
    let act = AdminCommand::Redrive { letter };
    house.store.intake.act(&act, "Ada", "mended").await.unwrap();
    let reached = async || {
        let reached = fs::read_to_string(reached_file(&fates)).unwrap_or_default();
        reached.lines().count() == points.len() && open().await == 0
    };
    house.outlive(SUBSCRIBER, &settings, reached).await;
    // Whoever comes after both finds nothing to do, and what comes next is not held up.
    let subscriber = house.subscribe();
    let worker = house.work();
    let next = *house.approve(1).first().unwrap();
    for order in [order, next] {
        house.until_activation(&order, "Activated").await;
    }
    // A worker that is told to stop ends what it has in hand.
    worker.stop().await;
    subscriber.stop().await;
    for order in [order, next] {
        house.assert_provisioned_once(&order);
        let jobs = house.store.reader.jobs_of(order).await.unwrap();
        let finished_jobs: Vec<_> = jobs.iter().map(|job| job.outcome).collect();
        assert_eq!(finished_jobs, [Some(JobOutcome::Succeeded)]);
    }
    let letters = house.store.reader.dead_letters(false, None, 9).await;
    let letters = letters.unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].closed_at.is_some());
}
