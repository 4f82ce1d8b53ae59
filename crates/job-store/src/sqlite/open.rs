//! Opening the file.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use domain::ports::Clock;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use crate::OpenError;
use crate::sqlite::watch::{Signal, watch};
use crate::sqlite::{SqliteStore, Writer};

/// Older releases can corrupt a file that two connections write to (WAL reset race).
const OLDEST: (u32, u32, u32) = (3, 51, 3);

/// The writer's page cache: 4 MiB, in which the pages that a backlog of events changes are found
/// again. SQLite's default is 2 MiB.
const WRITER_CACHE: &str = "-4096";
/// The pages of the write-ahead log (16 MiB) at which it is copied into the file. Most pages change
/// several times before that, and are copied once.
const CHECKPOINT: &str = "4096";

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// Every version of the schema there is.
pub(crate) fn versions() -> Vec<i64> {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .collect()
}

impl SqliteStore {
    /// Opens the file, creating it and its folder when they are not there, and brings its
    /// schema up to date.
    ///
    /// # Errors
    /// [`OpenError`]: a library that is too old, or a file that cannot be used.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder)
                .map_err(|error| OpenError::Failed(sqlx::Error::Io(error)))?;
        }
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        migrate(options.clone(), path).await?;
        let mut connection = options
            .clone()
            .pragma("cache_size", WRITER_CACHE)
            .pragma("wal_autocheckpoint", CHECKPOINT)
            .connect()
            .await
            .map_err(OpenError::Failed)?;
        assert_version(&mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(Duration::from_secs(5))
            .connect_with(options.clone().read_only(true))
            .await
            .map_err(OpenError::Failed)?;
        let watcher = options.connect().await.map_err(OpenError::Failed)?;
        let signal = Signal::of(path);
        let notifier = watch(path, watcher);
        let writer = Writer::start(connection, Arc::clone(&notifier), signal);
        Ok(Self {
            writer,
            readers,
            notifier,
            clock,
            claims: Arc::default(),
            updates: Default::default(),
        })
    }
}

/// Brings the schema up to date. On a thread of its own, because the migrator's future
/// cannot be sent between threads.
///
/// Under a lock of the whole file: programs that start together on a new file would
/// otherwise both migrate it.
async fn migrate(options: SqliteConnectOptions, path: &Path) -> Result<(), OpenError> {
    let runtime = tokio::runtime::Handle::current();
    let (path, lock) = (path.to_owned(), lock_file(path));
    let migration = tokio::task::spawn_blocking(move || {
        let io = |error| OpenError::Failed(sqlx::Error::Io(error));
        let lock = private().create(true).open(lock).map_err(io)?;
        lock.lock().map_err(io)?;
        // Only a new file, and before SQLite knows it: closing a file drops this process's locks
        // on it, those of other connections included.
        match private().create_new(true).open(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                return Err(io(error));
            }
            _ => {}
        }
        // Released when the file is closed, by a crash too.
        runtime.block_on(async {
            let mut connection = options.connect().await.map_err(OpenError::Failed)?;
            MIGRATIONS.run(&mut connection).await?;
            connection.close().await.map_err(OpenError::Failed)
        })
    });
    migration
        .await
        .map_err(|error| OpenError::Failed(sqlx::Error::Io(error.into())))?
}

/// How files are created: with mode 0600. SQLite gives its WAL and shared memory the mode of the
/// database; the mode of an existing file is its owner's choice.
pub(super) fn private() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn lock_file(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-migrating");
    PathBuf::from(name)
}

async fn assert_version(connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let found: String = sqlx::query("SELECT sqlite_version()")
        .fetch_one(connection)
        .await
        .and_then(|row| row.try_get(0))
        .map_err(OpenError::Failed)?;
    let mut parts = found
        .split('.')
        .map(|part| u32::from_str(part).unwrap_or(0));
    let version = (
        parts.next().unwrap_or(0),
        parts.next().unwrap_or(0),
        parts.next().unwrap_or(0),
    );
    if version < OLDEST {
        Err(OpenError::TooOld { found })
    } else {
        Ok(())
    }
}
