//! Opening the configured store.

use std::sync::Arc;

use domain::ports::Clock;
use operations::JobStore;

use crate::config::Address;
use crate::damage;
use crate::{OpenError, PostgresStore, SqliteStore, StoreConfig};

/// What a call needs of its commit, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Commit {
    /// A power cut, or a crash of the database *server*, may forget it within the next moments, and
    /// nothing that was flushed later: claims, heartbeats and releases, whose loss returns a job to
    /// the queue, and results of calls, whose intents then stand without a result, as after a lost
    /// reply. Lease tokens never repeat, so the owner of a forgotten claim can still write nothing,
    /// and a worker adds facts only to those that it knows.
    Relaxed,
    /// It is on disk: intents, failures, outcomes, what operators do.
    Flushed,
    /// As `Flushed`, and other processes are told at once that a job may be due.
    Announced,
}

/// An open store. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    /// The store as its ports.
    pub ports: Arc<dyn JobStore>,
    connections: Arc<dyn Fn() -> Connections + Send + Sync>,
}

/// Idle and busy connections of the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connections {
    /// Idle.
    pub idle: u32,
    /// Busy.
    pub busy: u32,
}

impl From<Connections> for (u32, u32) {
    fn from(connections: Connections) -> Self {
        (connections.idle, connections.busy)
    }
}

impl Connections {
    pub(crate) fn of<D: sqlx::Database>(pool: &sqlx::Pool<D>) -> Self {
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        Self {
            idle,
            busy: pool.size().saturating_sub(idle),
        }
    }
}

impl Store {
    /// The pool's connections at this moment; for SQLite, the readers'.
    #[must_use]
    pub fn connections(&self) -> Connections {
        (self.connections)()
    }

    fn of<S: JobStore + 'static>(store: S, connections: fn(&S) -> Connections) -> Self {
        damage::register();
        let store = Arc::new(store);
        let counted = Arc::clone(&store);
        Self {
            connections: Arc::new(move || connections(&counted)),
            ports: store,
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
        Address::Sqlite(path) => {
            let store = SqliteStore::open(path, clock)
                .await
                .map_err(|error| error.of_file(path))?;
            Ok(Store::of(store, SqliteStore::connections))
        }
        Address::Postgres(_) => {
            let store = PostgresStore::open(config).await?;
            Ok(Store::of(store, PostgresStore::connections))
        }
    }
}
