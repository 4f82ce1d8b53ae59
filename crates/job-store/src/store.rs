//! Opening whichever store the settings name.

use std::sync::Arc;

use domain::ports::{Clock, JobIntake, JobQueue, JobReader};

use crate::config::Address;
use crate::{OpenError, PostgresStore, SqliteStore, StoreConfig};

/// One store, seen from each of its sides. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// For the subscriber.
    pub intake: Arc<dyn JobIntake>,
    /// For the worker.
    pub queue: Arc<dyn JobQueue>,
    /// For people.
    pub reader: Arc<dyn JobReader>,
}

impl Store {
    fn of<S: JobIntake + JobQueue + JobReader + 'static>(store: S) -> Self {
        let store = Arc::new(store);
        Self {
            intake: Arc::clone(&store) as _,
            queue: Arc::clone(&store) as _,
            reader: store,
        }
    }
}

/// Opens the store, creating what is not there and bringing its schema up to date.
/// Programs that start together share one migration.
///
/// `clock` is the store's clock where the store has none of its own.
///
/// # Errors
/// [`OpenError`]: it cannot be reached, used or migrated.
pub async fn open(config: &StoreConfig, clock: Arc<dyn Clock>) -> Result<Store, OpenError> {
    match &config.0 {
        Address::Sqlite(path) => SqliteStore::open(path, clock).await.map(Store::of),
        Address::Postgres(_) => PostgresStore::open(config).await.map(Store::of),
    }
}
