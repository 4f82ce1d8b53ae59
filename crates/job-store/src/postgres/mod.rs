//! The store on a PostgreSQL database.

mod accept;
mod admin_commands;
mod calls;
mod claim;
mod cursor_history;
mod dead_letters;
mod facts;
mod intake;
mod listen;
mod open;
mod operator_sessions;
mod orders;
mod process_registry;
mod prune;
mod queue;
mod queue_stats;
mod reader;
mod transaction;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use domain::ports::StoreError;
use sqlx::PgPool;

use crate::notifier::Notifier;
use crate::store::Connections;
pub(crate) use open::versions;

/// The time by the database's clock, in milliseconds. `$1` is the store's shift: zero
/// outside of tests. One reading for the whole statement, so that an index can use it.
macro_rules! now {
    () => {
        "(floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint + $1)"
    };
}
pub(crate) use now;

/// The offset of the store's time from the database's clock.
type Shift = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Jobs, facts and cursor in one PostgreSQL database, shared by any number of machines.
///
/// *Time* is the database's, so that the clocks of the machines do not matter.
///
/// *Durability:* events, facts and outcomes are on the server's disk before their caller goes
/// on. Claims, heartbeats and releases are not waited for: a server that crashes may forget
/// the last of them, which returns the jobs to the queue; lease tokens never repeat. A standby
/// that takes over must have been replicated to synchronously, or what it lacks is lost.
///
/// *Deadlines:* every call ends within 8 seconds, whatever the server does; then its outcome
/// is unknown, and the call may be repeated. Conflicts and lost connections are retried
/// within that time, as long as nothing can have been committed.
///
/// *Poolers:* works through a connection pooler in transaction mode. Every statement runs
/// unnamed and inside an explicit transaction, and nothing is kept in a session. Only the
/// listener needs a session; without one the store is polled every
/// second instead.
///
/// *TLS:* as `sslmode` in the address says; a private authority is named by `sslrootcert`.
/// Connections: ten at most, and the listener's.
pub struct PostgresStore {
    pool: PgPool,
    notifier: Arc<Notifier>,
    health: Arc<listen::ListenerHealth>,
    _listener: listen::Listener,
    shift: Shift,
    terms: transaction::Terms,
    claims: AtomicU64,
}

impl PostgresStore {
    pub(crate) fn connections(&self) -> Connections {
        Connections::of(&self.pool)
    }
}

/// For tests.
#[doc(hidden)]
impl PostgresStore {
    /// The same store with another deadline for its calls.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.terms = transaction::Terms::new(deadline);
        self
    }

    /// EXPLAIN of a claim.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain_claim(&self) -> Result<String, StoreError> {
        claim::explain_claim(self).await
    }

    /// EXPLAIN of the queue statistics and the search for stuck orders.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain_tally(&self) -> Result<String, StoreError> {
        queue_stats::explain(self).await
    }
}
