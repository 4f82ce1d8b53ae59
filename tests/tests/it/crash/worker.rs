//! Crashes of a worker at every crash point.

use super::points::worker_points;
use crate::test_env::{Engine, TestEnv};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_crash_at_any_point_duplicates_nothing_on_sqlite() {
    let env = TestEnv::on(Engine::Sqlite).await;
    env.crash_workers_at_all(worker_points()).await;
    assert!(env.whmcs.duplicates().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_crash_at_any_point_duplicates_nothing_on_postgres() {
    let env = TestEnv::on(Engine::Postgres).await;
    env.crash_workers_at_all(worker_points()).await;
    assert!(env.whmcs.duplicates().is_empty());
}
