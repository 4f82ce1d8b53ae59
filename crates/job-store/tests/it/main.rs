//! The stores, each held to the contract they share.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

/// Runs the contract of the job store on what `open` of the calling module opens.
macro_rules! contract {
    ($($promise:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let opened = open().await;
            testkit::contract::Subject { store: &opened.store, clock: &opened.clock }.$promise().await;
        }
    )*};
}

mod copy;
mod damage;
mod pooler;
mod postgres;
mod release;
mod sqlite;
