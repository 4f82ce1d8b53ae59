//! The job store as a whole.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use job_store::StoreArgs;

use super::{Care, duration};

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum DbVerb {
    /// Copy everything to another store, compared row by row
    #[command(
        after_help = "Stop all programs first: while one is registered with either store, or was within 45 s, nothing is copied. Stopped anywhere, a second run goes on from there.\n\nExample:\n  orderctl db copy --from sqlite:data/orderbridge.db --to postgres://orderbridge@db/orderbridge"
    )]
    Copy(CopyStore),
    /// The store's schema and what is in it
    #[command(
        after_help = "Changes nothing, the schema included.\n\nExample:\n  orderctl db status"
    )]
    Status(StoreArgs),
    /// Create the store, or bring its schema up to date
    #[command(after_help = "Example:\n  orderctl db migrate --dry-run")]
    Migrate(Migrate),
    /// Copy a SQLite store into a file while it is in use
    #[command(
        after_help = "The file must not be there yet; its owner alone may read it. The copy is checked before the command ends. A PostgreSQL store is refused with exit code 1: use pg_dump.\n\nExample:\n  orderctl db backup --to orderbridge-backup.db"
    )]
    Backup(Backup),
    /// Forget what is old and no longer needed
    #[command(
        after_help = "Ended jobs, event ids, closed dead letters and gaps go. What tells that an order was provisioned is kept for good, the audit log for at least 400 days, and nothing younger than 7 days goes. The subscriber that leads does this by itself once a day, with 90d.\n\nExample:\n  orderctl db prune --older-than 90d --dry-run"
    )]
    Prune(Prune),
}

#[derive(Args, Clone)]
pub(crate) struct CopyStore {
    /// The store to copy
    #[arg(
        long,
        value_name = "URL",
        env = "ORDERCTL_COPY_FROM",
        hide_env_values = true
    )]
    pub(crate) from: String,
    /// The store to copy to, empty or begun
    #[arg(
        long,
        value_name = "URL",
        env = "ORDERCTL_COPY_TO",
        hide_env_values = true
    )]
    pub(crate) to: String,
}

impl std::fmt::Debug for CopyStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The addresses may hold passwords.
        f.debug_struct("CopyStore").finish_non_exhaustive()
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Migrate {
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Backup {
    /// The file to make
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Prune {
    /// Age, such as 90d
    #[arg(long, value_parser = duration)]
    pub(crate) older_than: Duration,
    #[command(flatten)]
    pub(crate) care: Care,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
