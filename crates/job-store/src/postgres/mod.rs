//! The store on a PostgreSQL database.

mod accept;
mod acts;
mod calls;
mod claim;
mod facts;
mod process_registry;
mod intake;
mod letters;
mod listen;
mod marks;
mod open;
mod orders;
mod prune;
mod queue;
mod reader;
mod queue_stats;
mod transaction;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use domain::ports::StoreError;
use sqlx::PgPool;

use crate::store::Connections;
use crate::wake::Notifier;
pub(crate) use open::versions;

/// The time by the database's clock, in milliseconds. `$1` is the store's shift: zero
/// outside of tests. One reading for the whole statement, so that an index can use it.
macro_rules! now {
    () => {
        "(floor(extract(epoch FROM statement_timestamp()) * 1000)::bigint + $1)"
    };
}
pub(crate) use now;

/// How far the store's time is ahead of the database's clock.
type Shift = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Jobs, facts and cursor in one PostgreSQL database, shared by any number of machines.
///
/// *Time* is the database's, so that the clocks of the machines do not matter.
///
/// *Durability:* events, facts and endings are on the server's disk before their caller goes
/// on. Claims, heartbeats and releases are not waited for: a server that crashes may forget
/// the last of them, which returns the jobs to the queue, and fences never repeat. A standby
/// that takes over must have been replicated to synchronously, or what it lacks is lost.
///
/// *Deadlines:* every call ends within 8 seconds, whatever the server does; then its outcome
/// is unknown, and it may be repeated. Conflicts and lost connections are met by another try
/// within that time, as long as nothing can have been committed.
///
/// *Poolers:* works through a connection pooler in transaction mode. Every statement runs
/// unnamed and inside an explicit transaction, and nothing is kept in a session. Only the
/// listener needs a session; where it has none, or loses it, the store is looked at every
/// second instead.
///
/// *TLS:* as `sslmode` in the address says; a private authority is named by `sslrootcert`.
/// Connections: ten at most, and the listener's.
pub struct PostgresStore {
    pool: PgPool,
    wake: Arc<Notifier>,
    hearing: Arc<listen::ListenerHealth>,
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

    /// How the database would go about a claim.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain_claim(&self) -> Result<String, StoreError> {
        claim::explain_claim(self).await
    }

    /// How the database would go about a tally and the search for stuck orders.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn explain_tally(&self) -> Result<String, StoreError> {
        queue_stats::explain(self).await
    }
}
