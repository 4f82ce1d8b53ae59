//! The store on one SQLite file.

mod acts;
mod calls;
mod facts;
mod process_registry;
mod intake;
mod letters;
mod marks;
mod open;
mod orders;
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

use crate::store::Connections;
use crate::wake::Notifier;
pub(crate) use open::versions;
use writer::Writer;

/// Jobs, facts and cursor in one SQLite file, shared by the processes of one machine.
///
/// Time is the given clock's, the same for every process of the machine.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    wake: Arc<Notifier>,
    clock: Arc<dyn Clock>,
    claims: AtomicU64,
}

/// For tests.
#[doc(hidden)]
impl SqliteStore {
    /// How the file would be read for a tally and the search for stuck orders.
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
    /// queue must not be judged by the time when it was asked for.
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
