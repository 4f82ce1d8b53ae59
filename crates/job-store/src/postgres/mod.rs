//! The store on a PostgreSQL database.
//!
//! Works through a connection pooler in transaction mode: every statement runs unnamed and
//! inside an explicit transaction, and nothing is kept in a session. Only the listener needs
//! a session; where it has none, a slow poll takes its place.

mod facts;
mod intake;
mod listen;
mod open;
mod prune;
mod queue;
mod reader;
mod transaction;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use domain::ports::StoreError;
use sqlx::PgPool;

use crate::wake::Wake;

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
/// Time is the database's, so that clocks of the machines do not matter.
pub struct PostgresStore {
    pool: PgPool,
    wake: Arc<Wake>,
    hearing: Arc<listen::Hearing>,
    _listener: listen::Listener,
    shift: Shift,
    terms: transaction::Terms,
    claims: AtomicU64,
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
        queue::explain_claim(self).await
    }
}
