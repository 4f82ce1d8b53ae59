//! The store on one SQLite file.

mod intake;
mod open;
mod queue;
mod reader;
mod row;
mod wake;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use domain::ports::Clock;
use sqlx::SqlitePool;

use wake::Wake;
use writer::Writer;

/// Jobs, facts and cursor in one SQLite file, shared by the processes of one machine.
///
/// Time is the given clock's, the same for every process of the machine.
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    wake: Arc<Wake>,
    clock: Arc<dyn Clock>,
    claims: AtomicU64,
}
