//! The store on one SQLite file.

mod admin_commands;
mod calls;
mod cursor_history;
mod dead_letters;
mod facts;
mod intake;
mod open;
mod operator_sessions;
mod orders;
mod process_registry;
mod prune;
mod queue;
mod reader;
mod watch;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use domain::ports::{Clock, StoreError};
use domain::time::Timestamp;
use futures::future::BoxFuture;
use sqlx::{SqliteConnection, SqlitePool};

use crate::notifier::Notifier;
use crate::store::Connections;
pub(crate) use open::versions;
use writer::Writer;

/// Jobs, facts and cursor in one SQLite file, shared by the processes of one machine.
///
/// Time is the given clock's, the same for every process of the machine.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    notifier: Arc<Notifier>,
    clock: Arc<dyn Clock>,
    claims: AtomicU64,
}

/// For tests.
#[doc(hidden)]
impl SqliteStore {
    /// EXPLAIN QUERY PLAN of the queue statistics and the search for stuck orders.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain_tally(&self) -> Result<String, StoreError> {
        reader::explain_tally(self).await
    }
}

impl SqliteStore {
    pub(crate) fn connections(&self) -> Connections {
        Connections::of(&self.readers)
    }

    /// Runs `operation` in the writer, with the time when its turn comes: what waited in the
    /// queue must not use the time at which it was requested.
    async fn write_now<T, F>(&self, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(
                &'c mut SqliteConnection,
                Timestamp,
            ) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let clock = Arc::clone(&self.clock);
        self.writer
            .write(move |connection| operation(connection, clock.now()))
            .await
    }
}
