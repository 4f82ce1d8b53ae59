//! Connecting, and bringing the schema up to date.

use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, Row};

use crate::OpenError;
use crate::config::{Address, StoreConfig};
use crate::notifier::Notifier;
use crate::postgres::listen::{ListenerHealth, listen};
use crate::postgres::statement;
use crate::postgres::{PostgresStore, Shift};

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");
/// The key of the lock under which the schema is changed: "orderbri" as a number.
const MIGRATING: i64 = 0x6f72_6465_7262_7269;
/// Connections besides the listener's; a worker has as many calls at once as jobs in hand.
const CONNECTIONS: u32 = 10;
/// How long opening may wait for the database, and for others that migrate it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Every version of the schema there is.
pub(crate) fn versions() -> Vec<i64> {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .collect()
}

impl PostgresStore {
    /// Connects to the database, creating it when it is not there, and brings its schema up
    /// to date.
    ///
    /// # Errors
    /// [`OpenError`]: it cannot be reached in a minute, used or migrated.
    pub async fn open(config: &StoreConfig) -> Result<Self, OpenError> {
        Self::open_shifted(config, Arc::new(|| Duration::ZERO)).await
    }

    /// As [`open`](Self::open), with a shift that is added to the database's clock in every
    /// statement, so that a test can let time pass.
    ///
    /// # Errors
    /// As [`open`](Self::open); and an address of another engine.
    #[doc(hidden)]
    pub async fn open_shifted(config: &StoreConfig, shift: Shift) -> Result<Self, OpenError> {
        let Address::Postgres(options) = &config.0 else {
            let error = sqlx::Error::Configuration("it is no PostgreSQL address".into());
            return Err(OpenError::Failed(error));
        };
        let options = PgConnectOptions::clone(options)
            // A pooler refuses parameters that it does not know.
            .extra_float_digits(None)
            .disable_statement_logging();
        let options = match options.get_application_name() {
            Some(_) => options,
            None => options.application_name("orderbridge"),
        };
        let prepared = async {
            let mut connection = connect(&options).await?;
            migrate(&mut connection).await?;
            // The connection may be gone already.
            let _ = connection.close().await;
            Ok::<_, OpenError>(())
        };
        tokio::time::timeout(PATIENCE, prepared)
            .await
            .unwrap_or_else(|_| Err(OpenError::Failed(sqlx::Error::PoolTimedOut)))?;
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(Duration::from_secs(5))
            .idle_timeout(Duration::from_secs(300))
            .max_lifetime(Duration::from_secs(1800))
            .connect_lazy_with(options.clone());
        let notifier = Arc::new(Notifier::default());
        let health = Arc::new(ListenerHealth::default());
        let listener = listen(
            options,
            pool.clone(),
            Arc::clone(&notifier),
            Arc::clone(&health),
        );
        Ok(Self {
            pool,
            notifier,
            health,
            _listener: Arc::new(listener),
            shift,
            terms: Arc::default(),
            claims: Arc::default(),
            updates: Default::default(),
        })
    }
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, OpenError> {
    let failed = match options.connect().await {
        Ok(connection) => return Ok(connection),
        Err(error) => error,
    };
    let absent = |error: &sqlx::Error| code(error).as_deref() == Some("3D000");
    let Some(name) = options.get_database().filter(|_| absent(&failed)) else {
        return Err(OpenError::Failed(failed));
    };
    let mut maintenance = options
        .clone()
        .database("postgres")
        .connect()
        .await
        .map_err(OpenError::Failed)?;
    let create = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
    match sqlx::raw_sql(AssertSqlSafe(create))
        .execute(&mut maintenance)
        .await
    {
        // Another process created it first.
        Err(error) if !matches!(code(&error).as_deref(), Some("42P04" | "23505")) => {
            return Err(OpenError::Failed(error));
        }
        _ => {}
    }
    options.connect().await.map_err(OpenError::Failed)
}

fn code(error: &sqlx::Error) -> Option<String> {
    let error = error.as_database_error()?;
    error.code().map(std::borrow::Cow::into_owned)
}

/// Brings the schema up to date in one transaction under a lock that lives as long as it, so
/// that programs that start together migrate once, and one that dies leaves nothing behind.
///
/// Not by the driver's own migrator: that one locks the session and prepares named
/// statements, both of which a transaction-mode pooler hands to other clients.
async fn migrate(connection: &mut PgConnection) -> Result<(), OpenError> {
    let mut transaction = connection.begin().await.map_err(OpenError::Failed)?;
    statement("SELECT pg_advisory_xact_lock($1)")
        .bind(MIGRATING)
        .execute(&mut *transaction)
        .await
        .map_err(OpenError::Failed)?;
    sqlx::raw_sql(
        "CREATE TABLE IF NOT EXISTS schema_version (
             version bigint PRIMARY KEY,
             checksum bytea NOT NULL,
             applied_at timestamptz NOT NULL DEFAULT now()
         )",
    )
    .execute(&mut *transaction)
    .await
    .map_err(OpenError::Failed)?;
    let rows = statement("SELECT version, checksum FROM schema_version ORDER BY version")
        .fetch_all(&mut *transaction)
        .await
        .map_err(OpenError::Failed)?;
    let mut applied = std::collections::BTreeMap::new();
    for row in &rows {
        let version: i64 = row.try_get(0).map_err(OpenError::Failed)?;
        let checksum: Vec<u8> = row.try_get(1).map_err(OpenError::Failed)?;
        applied.insert(version, checksum);
    }
    for migration in MIGRATIONS.iter() {
        match applied.remove(&migration.version) {
            Some(checksum) if checksum == *migration.checksum => continue,
            Some(_) => return Err(MigrateError::VersionMismatch(migration.version).into()),
            None => {}
        }
        sqlx::raw_sql(migration.sql.clone())
            .execute(&mut *transaction)
            .await
            .map_err(|error| MigrateError::ExecuteMigration(error, migration.version))?;
        statement("INSERT INTO schema_version (version, checksum) VALUES ($1, $2)")
            .bind(migration.version)
            .bind(migration.checksum.to_vec())
            .execute(&mut *transaction)
            .await
            .map_err(OpenError::Failed)?;
    }
    // A newer release migrated this schema; we cannot know what it means.
    if let Some((version, _)) = applied.first_key_value() {
        return Err(MigrateError::VersionMissing(*version).into());
    }
    transaction.commit().await.map_err(OpenError::Failed)
}
