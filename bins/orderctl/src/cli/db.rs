//! Commands on the job store.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use job_store::StoreArgs;

use crate::args::Care;

#[derive(Subcommand, Clone, Debug)]
pub(crate) enum DbVerb {
    /// Copy everything to another store and compare row by row
    #[command(
        after_help = "Stop all programs first: nothing is copied while one is registered with either store or was within 45 s. An interrupted copy is continued by the next run.\n\nExample:\n  orderctl db copy --from sqlite:data/orderbridge.db --to postgres://orderbridge@db/orderbridge"
    )]
    Copy(CopyStore),
    /// The store's schema and row counts
    #[command(
        after_help = "Changes nothing, the schema included.\n\nExample:\n  orderctl db status"
    )]
    Status(StoreArgs),
    /// Create the store, or bring its schema up to date
    #[command(after_help = "Example:\n  orderctl db migrate --dry-run")]
    Migrate(Migrate),
    /// Copy a SQLite store into a file while it is in use
    #[command(
        after_help = "The file must not exist; only its owner may read it. The copy is checked before the command ends. PostgreSQL stores are not supported (exit code 1): use pg_dump.\n\nExample:\n  orderctl db backup --to orderbridge-backup.db"
    )]
    Backup(Backup),
    /// Delete old rows that are no longer needed
    #[command(
        after_help = "Deletes finished jobs, event ids, closed dead letters and gaps. Facts about provisioned orders are kept forever, the audit log for at least 400 days, and everything for 7 days. The leading subscriber does this once a day with 90d.\n\nExample:\n  orderctl db prune --older-than 90d --dry-run"
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
    /// The store to copy to, empty or partly copied
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
        // The URLs may contain passwords.
        f.debug_struct("CopyStore").finish_non_exhaustive()
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Migrate {
    /// Print what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Backup {
    /// The file to create
    #[arg(long, value_name = "FILE")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Prune {
    /// Age, such as 90d
    #[arg(long, value_parser = settings::duration)]
    pub(crate) older_than: Duration,
    #[command(flatten)]
    pub(crate) care: Care,
    #[command(flatten)]
    pub(crate) store: StoreArgs,
}
