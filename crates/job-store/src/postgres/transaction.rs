//! One call to the store: a transaction with a deadline, retried where that is safe.

use std::marker::PhantomData;
use std::time::Duration;

use domain::ports::StoreError;
use domain::time::Timestamp;
use futures::future::BoxFuture;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, PgPool, Postgres};

use super::PostgresStore;
use crate::error::{OrUnavailable, corrupt};
use crate::row::Columns;
use crate::store::Commit;

/// How long the rollback of an abandoned call may take.
const UNDO: Duration = Duration::from_secs(1);
/// How often a call that certainly was not committed is retried.
const TRIES: u32 = 5;

/// Deadlines of calls and the settings of their transactions.
pub(crate) struct Terms {
    deadline: Duration,
    flushed: String,
    relaxed: String,
}

impl Terms {
    /// Settings for calls whose outcome is unknown after this deadline, whatever the
    /// database does.
    ///
    /// Everything a transaction needs is local to it, because the next one may run in another
    /// session. The server cancels what takes too long or idles in its transaction:
    /// a paused machine must not keep its locks. Compiling a statement takes longer than any of
    /// ours runs. The planner walks indexes: it believes that hardly any job is its order's oldest,
    /// and of the rows in a parameter that there are a hundred, and would otherwise read and sort
    /// whole tables.
    pub(crate) fn new(deadline: Duration) -> Self {
        let patience = deadline.as_millis() * 3 / 4;
        let begin = |commit| {
            format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
                 SET LOCAL statement_timeout = {patience};
                 SET LOCAL idle_in_transaction_session_timeout = {patience};
                 SET LOCAL synchronous_commit = {commit};
                 SET LOCAL jit = off;
                 SET LOCAL enable_seqscan = off;
                 SET LOCAL enable_bitmapscan = off;
                 SELECT floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint AS now"
            )
        };
        Self {
            deadline,
            flushed: begin("on"),
            relaxed: begin("off"),
        }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self::new(Duration::from_secs(8))
    }
}

/// What an operation gets: a connection inside a transaction, and the time. Whatever lives as long
/// as the call (`'a`) may be used by the operation.
pub(crate) struct Session<'c, 'a> {
    pub(crate) connection: &'c mut PgConnection,
    /// The time by the database's clock when the transaction began, with the store's shift, which is
    /// zero outside of tests. A process that is paused later may go by a time that has passed: the
    /// token of its lease tells whether another has taken the job meanwhile.
    pub(crate) now: Timestamp,
    outlives: PhantomData<&'c &'a ()>,
}

impl PostgresStore {
    /// Runs `operation` in a transaction and commits it. What fails changes nothing; conflicts
    /// and lost connections are met by another try as long as nothing was committed.
    pub(crate) async fn run<'a, T, F>(&self, commit: Commit, operation: F) -> Result<T, StoreError>
    where
        T: Send,
        F: for<'c> Fn(Session<'c, 'a>) -> BoxFuture<'c, Result<T, StoreError>> + Send + Sync,
    {
        let tries = async {
            let mut failed = 0;
            loop {
                match self.attempt(commit, &operation).await {
                    Err(Failed::Rolled(error)) if failed + 1 < TRIES && may_pass(&error) => {
                        failed += 1;
                        tokio::time::sleep(Duration::from_millis(5) * failed).await;
                    }
                    Err(Failed::Rolled(error) | Failed::Unknown(error)) => return Err(error),
                    Ok(value) => return Ok(value),
                }
            }
        };
        tokio::time::timeout(self.terms.deadline, tries)
            .await
            .unwrap_or_else(|_| {
                Err(StoreError::Unavailable(
                    "the database did not answer in time".into(),
                ))
            })
    }

    async fn attempt<'a, T, F>(&self, commit: Commit, operation: &F) -> Result<T, Failed>
    where
        F: for<'c> Fn(Session<'c, 'a>) -> BoxFuture<'c, Result<T, StoreError>>,
    {
        let mut lent = Lent::from(&self.pool).await.map_err(Failed::Rolled)?;
        let begin = match commit {
            Commit::Flushed | Commit::Announced => &self.terms.flushed,
            Commit::Relaxed => &self.terms.relaxed,
        };
        let connection = lent.connection();
        let now = begin_at(connection, begin).await.map_err(Failed::Rolled)?;
        let session = Session {
            connection: &mut *connection,
            now: now + (self.shift)(),
            outlives: PhantomData,
        };
        match operation(session).await {
            Ok(value) => {
                // A lost answer to this one leaves the outcome open.
                simple(connection, "COMMIT")
                    .await
                    .map_err(|error| match is_conflict(&error) {
                        true => Failed::Rolled(error),
                        false => Failed::Unknown(error),
                    })?;
                lent.give_back();
                Ok(value)
            }
            // Dropping the transaction rolls it back.
            Err(error) => Err(Failed::Rolled(error)),
        }
    }
}

enum Failed {
    /// Certainly nothing was committed.
    Rolled(StoreError),
    /// It may have been.
    Unknown(StoreError),
}

/// Begins a transaction. Returns the time by the database's clock.
async fn begin_at(connection: &mut PgConnection, begin: &str) -> Result<Timestamp, StoreError> {
    // Constants and numbers of this crate only.
    let rows = sqlx::raw_sql(AssertSqlSafe(begin))
        .fetch_all(connection)
        .await;
    let rows = rows.or_unavailable()?;
    let now = rows.first().ok_or_else(|| corrupt("the time", "no row"))?;
    now.time("now")
}

async fn simple(connection: &mut PgConnection, text: &str) -> Result<(), StoreError> {
    // Constants and numbers of this crate only.
    sqlx::raw_sql(AssertSqlSafe(text))
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}

fn database_code(error: &StoreError) -> Option<String> {
    let StoreError::Unavailable(source) = error else {
        return None;
    };
    let error = source.downcast_ref::<sqlx::Error>()?.as_database_error()?;
    error.code().map(std::borrow::Cow::into_owned)
}

/// A serialization failure or a deadlock: rolled back by the database, safe to retry.
fn is_conflict(error: &StoreError) -> bool {
    matches!(database_code(error).as_deref(), Some("40001" | "40P01"))
}

/// Whether a retry may succeed: a conflict, or a lost connection.
fn may_pass(error: &StoreError) -> bool {
    let StoreError::Unavailable(source) = error else {
        return false;
    };
    match database_code(error) {
        // 57P01 to 57P03: the server ended the session or is starting up.
        Some(code) => is_conflict(error) || code.starts_with("57P"),
        None => matches!(
            source.downcast_ref::<sqlx::Error>(),
            Some(sqlx::Error::Io(_) | sqlx::Error::Protocol(_))
        ),
    }
}

/// A connection of the pool, in a transaction until it is given back.
///
/// A call may be abandoned at any moment (a waiting worker is woken by something
/// else) and must not leave its transaction open. A connection that cannot roll back quickly is
/// closed without ROLLBACK: it may be the connection that hangs.
struct Lent(Option<PoolConnection<Postgres>>);

impl Lent {
    async fn from(pool: &PgPool) -> Result<Self, StoreError> {
        pool.acquire()
            .await
            .or_unavailable()
            .map(|connection| Self(Some(connection)))
    }

    fn connection(&mut self) -> &mut PgConnection {
        self.0
            .as_mut()
            .expect("it is taken only when it is given back or dropped")
    }

    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(mut connection) = self.0.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(connection.detach());
            return;
        };
        runtime.spawn(async move {
            let undone = tokio::time::timeout(UNDO, simple(&mut connection, "ROLLBACK"));
            if !matches!(undone.await, Ok(Ok(()))) {
                drop(connection.detach());
            }
        });
    }
}
