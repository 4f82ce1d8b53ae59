//! A worker dies at each named point of its road.

use super::points::worker_points;
use crate::house::{Engine, TestEnv};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_named_point_on_sqlite_it_goes_on_and_doubles_nothing() {
    let house = TestEnv::on(Engine::Sqlite).await;
    house.lose_workers_everywhere(worker_points()).await;
    assert!(house.whmcs.duplicates().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_named_point_on_postgres_it_goes_on_and_doubles_nothing() {
    let house = TestEnv::on(Engine::Postgres).await;
    house.lose_workers_everywhere(worker_points()).await;
    assert!(house.whmcs.duplicates().is_empty());
}
