//! The in-memory store passes the contract of the real ones.

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

testkit::job_store_contract!(contract);
