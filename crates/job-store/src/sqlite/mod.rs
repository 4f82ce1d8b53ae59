//! The store on one SQLite file.

mod due;
mod open;
mod prune;
mod watch;
mod writer;

#[path = "../common/accept.rs"]
mod accept;
#[path = "../common/admin_commands.rs"]
mod admin_commands;
#[path = "../common/claim.rs"]
mod claim;
#[path = "../common/cursor_history.rs"]
mod cursor_history;
#[path = "../common/intake.rs"]
mod intake;
#[path = "../common/leadership.rs"]
mod leadership;
#[path = "../common/operator_sessions.rs"]
mod operator_sessions;
#[path = "../common/processes.rs"]
mod processes;
#[path = "../common/queue.rs"]
mod queue;
#[path = "../common/statistics.rs"]
mod statistics;
#[path = "../common/update.rs"]
mod update;
#[path = "../common/views.rs"]
mod views;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use domain::ports::{Clock, StoreError};
use domain::time::Timestamp;
use futures::future::BoxFuture;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Sqlite, SqlitePool};

use crate::error::OrUnavailable;
use crate::notifier::Notifier;
use crate::store::{Commit, Connections};
pub(crate) use open::versions;
use writer::Writer;

type Store = SqliteStore;
type Connection = sqlx::SqliteConnection;
type Row = SqliteRow;
/// A change of the store: what it needs, and the time at which its turn came.
type Command<T, D> =
    for<'c> fn(&'c mut Connection, D, Timestamp) -> BoxFuture<'c, Result<T, StoreError>>;

fn statement<'q>(text: &'static str) -> Query<'q, Sqlite, SqliteArguments> {
    sqlx::query(text)
}

/// A statement of conditions of this crate and numbered parameters only.
fn built_statement<'q>(text: String) -> Query<'q, Sqlite, SqliteArguments> {
    sqlx::query(AssertSqlSafe(text))
}

/// Locks what a SELECT returns until the commit. There is only one writer here.
macro_rules! for_update {
    () => {
        ""
    };
}
use for_update;

/// As `for_update!`, without the rows that others have locked.
macro_rules! skip_locked {
    () => {
        ""
    };
}
use skip_locked;

/// The rows in a parameter of [`crate::row::parameter`], as the table `given`; `place` numbers them.
macro_rules! rows_of {
    ($parameter:literal, $($column:ident $type:literal),+) => {
        concat!(
            "(SELECT key AS place",
            $(", value ->> '", stringify!($column), "' AS ", stringify!($column),)+
            " FROM jsonb_each(", $parameter, ")) AS given"
        )
    };
}
use rows_of;

/// The condition that a value is in this column of the rows in a parameter.
macro_rules! one_of {
    ($parameter:literal, $column:ident $type:literal) => {
        concat!(
            "IN (SELECT ", stringify!($column), " FROM ",
            $crate::sqlite::rows_of!($parameter, $column $type),
            ")"
        )
    };
}
use one_of;

/// There is only one writer here.
async fn lock_admission(_connection: &mut Connection) -> Result<(), StoreError> {
    Ok(())
}

/// The writer signals after the commit.
async fn notify_workers(_connection: &mut Connection) -> Result<(), StoreError> {
    Ok(())
}

/// Jobs, facts and cursor in one SQLite file, shared by the processes of one machine.
///
/// Time is the given clock's, the same for every process of the machine.
#[derive(Clone)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    notifier: Arc<Notifier>,
    clock: Arc<dyn Clock>,
    claims: Arc<AtomicU64>,
    updates: queue::Updates,
}

/// For tests.
#[doc(hidden)]
impl SqliteStore {
    /// EXPLAIN QUERY PLAN of the queue statistics and the search for stuck orders.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain_tally(&self) -> Result<String, StoreError> {
        use crate::queue_stats::{ended, live, marker_lost, stuck};
        use crate::row::{Columns, kept_columns};
        let mut lines = Vec::new();
        for text in [
            live!(),
            ended!(),
            stuck!(),
            marker_lost!(),
            concat!("SELECT ", kept_columns!()),
        ] {
            let explain = format!("EXPLAIN QUERY PLAN {text}");
            for row in self.rows(|_| built_statement(explain.clone())).await? {
                lines.push(row.text("detail")?);
            }
        }
        Ok(lines.join("\n"))
    }
}

impl SqliteStore {
    pub(crate) fn connections(&self) -> Connections {
        Connections::of(&self.readers)
    }

    /// The rows of a query, which gets the time.
    async fn rows<'q>(
        &self,
        query: impl FnOnce(Timestamp) -> Query<'q, Sqlite, SqliteArguments>,
    ) -> Result<Vec<SqliteRow>, StoreError> {
        self.rows_now(query).await.map(|(rows, _)| rows)
    }

    /// As [`rows`](Self::rows), with the time that the query got.
    async fn rows_now<'q>(
        &self,
        query: impl FnOnce(Timestamp) -> Query<'q, Sqlite, SqliteArguments>,
    ) -> Result<(Vec<SqliteRow>, Timestamp), StoreError> {
        let now = self.clock.now();
        let rows = query(now).fetch_all(&self.readers).await.or_unavailable()?;
        Ok((rows, now))
    }

    /// Runs a command on its data.
    async fn change<T, D>(
        &self,
        commit: Commit,
        data: D,
        command: Command<T, D>,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        D: Send + 'static,
    {
        self.write_now(commit, move |connection, now| {
            command(connection, data, now)
        })
        .await
    }

    /// Runs `operation` in the writer, with the time when its turn comes: what waited in the
    /// queue must not use the time at which it was requested.
    async fn write_now<T, F>(&self, commit: Commit, operation: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut Connection, Timestamp) -> BoxFuture<'c, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let clock = Arc::clone(&self.clock);
        self.writer
            .write(commit, move |connection| operation(connection, clock.now()))
            .await
    }
}
