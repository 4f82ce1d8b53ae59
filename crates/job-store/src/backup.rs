//! Online backup of a SQLite store.

use std::path::{Path, PathBuf};

use domain::ports::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};

use crate::config::{Address, StoreConfig};
use crate::copy::table::TABLES;
use crate::error::OrUnavailable;

/// Why a backup failed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Only SQLite stores are backed up here.
    #[error(
        "a PostgreSQL store is backed up with pg_dump, for example `pg_dump -Fc -f orderbridge.dump \"$DATABASE_URL\"`"
    )]
    Postgres,
    /// A backup never overwrites a file.
    #[error("`{}` cannot be made: {source}. Give the name of a file that is not there yet, in a directory that is", .path.display())]
    Target {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The copy is not sound, and was removed.
    #[error("the copy is not sound and was removed: {0}")]
    Unsound(String),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies the store into a new file that its owner alone may read, as it stands at one moment,
/// and checks the copy's integrity. The store stays usable meanwhile. Returns
/// the rows of each table. What fails leaves no file behind; a crash may leave a part of one.
///
/// # Errors
/// [`BackupError`].
pub async fn backup(
    config: &StoreConfig,
    to: &Path,
) -> Result<Vec<(&'static str, u64)>, BackupError> {
    let Address::Sqlite(path) = &config.0 else {
        return Err(BackupError::Postgres);
    };
    create(to).map_err(|source| BackupError::Target {
        path: to.to_owned(),
        source,
    })?;
    let copied = copy(path, to).await;
    if copied.is_err() {
        // Nothing can be done about a file that cannot be removed.
        let _ = std::fs::remove_file(to);
    }
    copied
}

/// Creates an empty file with mode 0600; SQLite fills it.
fn create(to: &Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(to).map(|_| ())
}

async fn copy(from: &Path, to: &Path) -> Result<Vec<(&'static str, u64)>, BackupError> {
    let mut source = open(from).await?;
    let before = counts(&mut source).await?;
    sqlx::query("VACUUM INTO ?")
        .bind(to.display().to_string())
        .execute(&mut source)
        .await
        .or_unavailable()?;
    let after = counts(&mut source).await?;
    source.close().await.or_unavailable()?;
    let flushed = std::fs::File::open(to).and_then(|file| file.sync_all());
    flushed.map_err(|error| BackupError::Unsound(error.to_string()))?;
    let mut copy = open(to).await?;
    let checked: String = sqlx::query("PRAGMA integrity_check")
        .fetch_one(&mut copy)
        .await
        .and_then(|row| row.try_get(0))
        .or_unavailable()?;
    if checked != "ok" {
        return Err(BackupError::Unsound(checked));
    }
    let counted = counts(&mut copy).await?;
    copy.close().await.or_unavailable()?;
    for ((table, rows), (before, after)) in counted.iter().zip(before.iter().zip(&after)) {
        let (least, most) = (before.1.min(after.1), before.1.max(after.1));
        if !(least..=most).contains(rows) {
            return Err(BackupError::Unsound(format!(
                "{table} has {rows} rows, the store {least} to {most}"
            )));
        }
    }
    Ok(counted)
}

async fn open(path: &Path) -> Result<SqliteConnection, StoreError> {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(std::time::Duration::from_secs(5))
        .disable_statement_logging()
        .connect()
        .await
        .or_unavailable()
}

async fn counts(connection: &mut SqliteConnection) -> Result<Vec<(&'static str, u64)>, StoreError> {
    let mut counts = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        // A table name from our own list.
        let text = format!("SELECT count(*) FROM {}", table.name);
        let rows: i64 = sqlx::query(AssertSqlSafe(text))
            .fetch_one(&mut *connection)
            .await
            .and_then(|row| row.try_get(0))
            .or_unavailable()?;
        counts.push((table.name, rows.unsigned_abs()));
    }
    Ok(counts)
}
