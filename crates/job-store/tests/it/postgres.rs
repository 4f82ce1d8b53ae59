//! The store's contract on a real PostgreSQL, and what only a server can show.

use std::sync::Arc;

use job_store::{PostgresStore, StoreConfig};
use test_postgres::Database;
use testkit::FakeClock;
use testkit::contract::Subject;

struct Opened {
    store: PostgresStore,
    clock: Arc<FakeClock>,
    _database: Database,
}

async fn open() -> Opened {
    let database = Database::create().await;
    let clock = Arc::new(FakeClock::default());
    Opened {
        store: connect(&database, &clock).await,
        clock,
        _database: database,
    }
}

async fn connect(database: &Database, clock: &Arc<FakeClock>) -> PostgresStore {
    let config = StoreConfig::parse(&database.url()).unwrap();
    let clock = Arc::clone(clock);
    PostgresStore::open_shifted(&config, Arc::new(move || clock.advanced()))
        .await
        .unwrap()
}

macro_rules! contract {
    ($($promise:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $promise() {
            let opened = open().await;
            Subject { store: &opened.store, clock: &opened.clock }.$promise().await;
        }
    )*};
}

testkit::job_store_contract!(contract);
