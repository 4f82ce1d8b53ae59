//! Jobs, facts and the stream cursor, durably.
//!
//! [`SqliteStore`] implements the three store ports on one SQLite file that several
//! processes may share. Every write goes through one writer per process, which commits what
//! is waiting as a group; what must not be lost is flushed before its caller goes on.

mod config;
mod error;
mod record;
mod sqlite;
mod store;

pub use config::{StoreArgs, StoreConfig};
pub use error::OpenError;
pub use sqlite::SqliteStore;
pub use store::{Store, open};
