//! Jobs, facts and the stream cursor, durably.
//!
//! [`PostgresStore`] implements the store's ports on a PostgreSQL database that any number
//! of machines may share: jobs are claimed with `SKIP LOCKED`, leases and every other time go
//! by the database's clock, and each call is one transaction with a deadline.
//!
//! The statements in `common/` mean the same in both: each engine compiles them with its own
//! `Connection`, `Row`, `Store` and `statement`, and with what differs in SQL: `rows_of!`, `one_of!`,
//! `for_update!`, `skip_locked!`, `lock_admission` and `notify_workers`.
//!
//! [`SqliteStore`] implements the store's ports on one SQLite file that several
//! processes may share. Every write goes through one writer per process, which commits what
//! is waiting as a group; what must not be lost is flushed before its caller goes on.
#![expect(
    clippy::duplicate_mod,
    reason = "both engines compile the statements in `common/`"
)]

mod admission;
mod backup;
mod config;
mod copy;
mod damage;
mod error;
mod inspect;
mod list;
mod notifier;
mod postgres;
mod process_registry;
mod queue_stats;
mod record;
mod row;
mod sqlite;
mod store;
mod update;
mod view;

pub use backup::{BackupError, backup};
pub use config::{StoreArgs, StoreConfig};
pub use copy::{CopiedTable, CopyError, Progress, copy};
pub use error::OpenError;
pub use inspect::{SchemaStatus, prunable, schema_status};
pub use postgres::PostgresStore;
pub use sqlite::SqliteStore;
pub use store::{Connections, Store, open};
