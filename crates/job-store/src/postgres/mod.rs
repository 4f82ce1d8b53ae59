//! The store on a PostgreSQL database.

mod due;
mod listen;
mod open;
mod prune;
mod transaction;

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
use std::time::Duration;

use domain::ports::StoreError;
use domain::time::Timestamp;
use futures::future::BoxFuture;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgPool, Postgres};

use crate::error::OrUnavailable;
use crate::notifier::Notifier;
use crate::store::{Commit, Connections};
pub(crate) use open::versions;

type Store = PostgresStore;
type Connection = sqlx::PgConnection;
type Row = PgRow;
/// A change of the store: what it needs, and the time at which its transaction began.
type Command<T, D> =
    for<'c> fn(&'c mut Connection, D, Timestamp) -> BoxFuture<'c, Result<T, StoreError>>;

tokio::task_local! {
    /// Whether statements are prepared once for their session.
    static PREPARED: bool;
}

/// A statement. It leaves nothing in its session, unless the session is our own.
fn statement<'q>(text: &'static str) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(text).persistent(PREPARED.try_with(|prepared| *prepared).unwrap_or(false))
}

/// A statement of conditions of this crate and numbered parameters only.
fn built_statement<'q>(text: String) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(AssertSqlSafe(text)).persistent(false)
}

/// Locks what a SELECT returns until the commit.
macro_rules! for_update {
    () => {
        " FOR UPDATE"
    };
}
use for_update;

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// As `for_update!`, without the rows that others have locked.
macro_rules! skip_locked {
    () => {
        " FOR UPDATE SKIP LOCKED"
    };
}
use skip_locked;

/// The rows in a parameter of [`crate::row::parameter`], as the table `given`; `place` numbers them.
macro_rules! rows_of {
    ($parameter:literal, $first:ident $type:literal $(, $column:ident $of:literal)*) => {
        concat!(
            "ROWS FROM (json_to_recordset(", $parameter, "::json) AS (",
            stringify!($first), " ", $type, $(", ", stringify!($column), " ", $of,)*
            ")) WITH ORDINALITY AS given (",
            stringify!($first), $(", ", stringify!($column),)*
            ", place)"
        )
    };
}
use rows_of;

/// The condition that a value is in this column of the rows in a parameter. As an array: a planner
/// that does not know how few they are might walk a whole index beside them.
macro_rules! one_of {
    ($parameter:literal, $column:ident $type:literal) => {
        concat!(
            "= ANY (ARRAY(SELECT ", stringify!($column), " FROM ",
            $crate::postgres::rows_of!($parameter, $column $type),
            "))"
        )
    };
}
use one_of;

/// The key of the lock under which requests are admitted. Two admitted at the same time
/// would not know of each other.
const ADMITTING: i64 = 0x6f72_6465_7261_646d;

/// Takes the admission lock until the commit.
async fn lock_admission(connection: &mut Connection) -> Result<(), StoreError> {
    statement("SELECT pg_advisory_xact_lock($1)")
        .bind(ADMITTING)
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}

/// Tells the workers of all machines, with the commit, that a job is due.
async fn notify_workers(connection: &mut Connection) -> Result<(), StoreError> {
    sqlx::raw_sql("NOTIFY orderbridge_job")
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}

/// The offset of the store's time from the database's clock.
type Shift = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Jobs, facts and cursor in one PostgreSQL database, shared by any number of machines.
///
/// *Time* is the database's, so that the clocks of the machines do not matter.
///
/// *Durability:* events, intents and outcomes are on the server's disk before their caller goes
/// on. Claims, heartbeats, releases and results of calls are not waited for: a server that crashes
/// may forget the last of them, which returns the jobs to the queue, or leaves an intent without its
/// result; lease tokens never repeat, and a worker adds facts only to those that it knows. A standby
/// that takes over must have been replicated to synchronously, or what it lacks is lost.
///
/// *Deadlines:* every call ends within 8 seconds, whatever the server does; then its outcome
/// is unknown, and the call may be repeated. Conflicts and lost connections are retried
/// within that time, as long as nothing can have been committed.
///
/// *Poolers:* works through a connection pooler in transaction mode. Every statement runs
/// inside an explicit transaction, and nothing is kept in a session that is not proven to be our own.
/// Only the listener needs one; without it, statements are prepared each time, and the store is
/// polled every second.
///
/// *TLS:* as `sslmode` in the address says; a private authority is named by `sslrootcert`.
/// Connections: ten at most, and the listener's.
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    notifier: Arc<Notifier>,
    health: Arc<listen::ListenerHealth>,
    _listener: Arc<listen::Listener>,
    shift: Shift,
    terms: Arc<transaction::Terms>,
    claims: Arc<AtomicU64>,
    updates: queue::Updates,
}

impl PostgresStore {
    pub(crate) fn connections(&self) -> Connections {
        Connections::of(&self.pool)
    }

    /// The rows of a query, which gets the time.
    async fn rows<'q>(
        &self,
        query: impl Fn(Timestamp) -> Query<'q, Postgres, PgArguments> + Send + Sync,
    ) -> Result<Vec<PgRow>, StoreError> {
        self.rows_now(query).await.map(|(rows, _)| rows)
    }

    /// As [`rows`](Self::rows), with the time that the query got.
    async fn rows_now<'q>(
        &self,
        query: impl Fn(Timestamp) -> Query<'q, Postgres, PgArguments> + Send + Sync,
    ) -> Result<(Vec<PgRow>, Timestamp), StoreError> {
        let query = &query;
        self.run(Commit::Relaxed, move |session| {
            let (connection, now) = (session.connection, session.now);
            let query = query(now);
            Box::pin(async move {
                let rows = query.fetch_all(connection).await.or_unavailable()?;
                Ok((rows, now))
            })
        })
        .await
    }

    /// Runs a command on its data in a transaction.
    async fn change<T, D>(
        &self,
        commit: Commit,
        data: D,
        command: Command<T, D>,
    ) -> Result<T, StoreError>
    where
        T: Send,
        D: Clone + Send + Sync,
    {
        // A connection that receives its notifications has a session of its own. Reads of whole rows
        // are not prepared: another release may add columns.
        let prepared = self.health.is_good();
        self.run(commit, move |session| {
            let changed = command(session.connection, data.clone(), session.now);
            Box::pin(PREPARED.scope(prepared, changed))
        })
        .await
    }
}

/// For tests.
#[doc(hidden)]
impl PostgresStore {
    /// The same store with another deadline for its calls.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.terms = Arc::new(transaction::Terms::new(deadline));
        self
    }

    /// EXPLAIN of a claim.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain_claim(&self) -> Result<String, StoreError> {
        use crate::row::Columns;
        self.run(Commit::Relaxed, |session| {
            Box::pin(async move {
                let explain = built_statement(format!("EXPLAIN {}", claim::DUE));
                let rows = explain
                    .bind(session.now.as_millis())
                    .bind(8_i64)
                    .fetch_all(session.connection)
                    .await
                    .or_unavailable()?;
                let lines = rows.iter().map(|row| row.text("QUERY PLAN"));
                Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
            })
        })
        .await
    }

    /// EXPLAIN of the queue statistics and the search for stuck orders.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain_tally(&self) -> Result<String, StoreError> {
        use crate::queue_stats::{ended, live, stuck};
        use crate::row::Columns;
        let mut lines = Vec::new();
        for text in [live!(), ended!(), stuck!()] {
            let parameters = text.matches("$1").count() + text.matches("$2").count();
            let rows = self.rows(|_| {
                let explain = built_statement(format!("EXPLAIN {text}"));
                (0..parameters).fold(explain, |query, _| query.bind(0_i64))
            });
            for row in &rows.await? {
                lines.push(row.text("QUERY PLAN")?);
            }
        }
        Ok(lines.join("\n"))
    }
}
