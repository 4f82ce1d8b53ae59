//! Crashes of a worker at every crash point.

use super::points::worker_points;
use crate::test_env::{Engine, TestEnv};

on_both_stores! {
    worker_crash_at_any_point_duplicates_nothing: crash_at_every_point();
}

async fn crash_at_every_point(engine: Engine) {
    let env = TestEnv::on(engine).await;
    env.crash_workers_at_all(worker_points()).await;
    assert!(env.whmcs.duplicates().is_empty());
}
