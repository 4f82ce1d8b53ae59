//! A subscriber dies at each named point of its road.

use std::fs;

use e2e::points::{FATES, reached_file};

use super::SUBSCRIBER;
use super::points::around;
use crate::house::{Engine, TestEnv};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_named_point_on_sqlite_it_loses_and_doubles_nothing() {
    killed_at_any_named_point(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_named_point_on_postgres_it_loses_and_doubles_nothing() {
    killed_at_any_named_point(Engine::Postgres).await;
}

async fn killed_at_any_named_point(engine: Engine) {
    let house = TestEnv::on(engine).await;
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
    let fates = house.file("fates");
    fs::write(&fates, lines.concat()).unwrap();
    let mut settings = house.subscriber_settings();
    settings.push((FATES, fates.display().to_string()));
    let orders = house.approve(60);
    let reached = async || {
        let reached = fs::read_to_string(reached_file(&fates)).unwrap_or_default();
        let all = points.len() == reached.lines().count();
        all && house.store_holds(60).await
    };
    house.outlive(SUBSCRIBER, &settings, reached).await;
    house.assert_one_job_each(&orders).await;
    let worker = house.work();
    for order in &orders {
        house.until_activation(order, "Activated").await;
        house.assert_provisioned_once(order);
    }
    worker.stop().await;
}
