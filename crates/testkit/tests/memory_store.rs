//! The fake store keeps the promises of the real ones.

use std::sync::Arc;

use testkit::contract::Subject;
use testkit::{FakeClock, MemoryStore};

macro_rules! contract {
    ($($promise:ident,)*) => {$(
        #[tokio::test]
        async fn $promise() {
            let clock = Arc::new(FakeClock::default());
            let store = MemoryStore::new(Arc::clone(&clock) as _);
            Subject { store: &store, clock: &clock }.$promise().await;
        }
    )*};
}

contract! {
    a_delivery_is_stored_once_with_its_cursor,
    a_dead_letter_does_not_stop_the_stream,
    a_stale_leader_changes_nothing,
    a_leader_renews_and_resigns,
    a_lost_position_is_forgotten,
    a_failed_order_may_be_asked_for_again,
    one_job_of_an_order_at_a_time,
    a_stale_worker_writes_nothing,
    a_heartbeat_keeps_the_job,
    a_proven_mark_is_remembered,
}
