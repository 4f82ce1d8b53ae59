//! Read-only inspection of a store, its schema included.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{Clock, StoreError};
use operations::{AUDIT_RETENTION, MIN_RETENTION, Pruned};

use crate::StoreConfig;
use crate::config::Address;
use crate::copy::End;
use crate::{postgres, sqlite};

/// The schema version of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaStatus {
    /// `sqlite` or `postgres`.
    pub engine: &'static str,
    /// Applied versions, ascending.
    pub applied: Vec<i64>,
    /// Versions known to this release, ascending.
    pub known: Vec<i64>,
}

impl SchemaStatus {
    /// Pending versions.
    #[must_use]
    pub fn pending(&self) -> Vec<i64> {
        let missing = |version: &&i64| !self.applied.contains(version);
        self.known.iter().filter(missing).copied().collect()
    }

    /// Versions applied by a newer release: this one cannot use the store.
    #[must_use]
    pub fn unknown(&self) -> Vec<i64> {
        let strange = |version: &&i64| !self.known.contains(version);
        self.applied.iter().filter(strange).copied().collect()
    }
}

/// Reads the schema version of an existing store. Changes nothing.
///
/// # Errors
/// [`StoreError`].
pub async fn schema_status(config: &StoreConfig) -> Result<SchemaStatus, StoreError> {
    let (engine, known, table, applied) = match &config.0 {
        Address::Sqlite(_) => (
            "sqlite",
            sqlite::versions(),
            "SELECT count(*) AS n FROM sqlite_master WHERE name = '_sqlx_migrations'",
            "SELECT version AS n FROM _sqlx_migrations WHERE success ORDER BY version",
        ),
        Address::Postgres(_) => (
            "postgres",
            postgres::versions(),
            "SELECT count(to_regclass('schema_version')) AS n",
            "SELECT version AS n FROM schema_version ORDER BY version",
        ),
    };
    let mut end = End::connect(config).await?;
    let applied = match end.numbers(table.to_owned()).await?.first() {
        Some(1) => end.numbers(applied.to_owned()).await?,
        _ => Vec::new(),
    };
    end.close().await;
    Ok(SchemaStatus {
        engine,
        applied,
        known,
    })
}

/// Counts what pruning would delete, except the facts of the jobs.
/// Changes nothing. The store's schema must be up to date; `clock` is the clock of a store that
/// has none of its own.
///
/// # Errors
/// [`StoreError`].
pub async fn prunable(
    config: &StoreConfig,
    clock: Arc<dyn Clock>,
    older_than: Duration,
) -> Result<Pruned, StoreError> {
    let age = older_than.max(MIN_RETENTION);
    let (age, audit) = (age.as_millis(), age.max(AUDIT_RETENTION).as_millis());
    let mut end = End::connect(config).await?;
    let now = end.now(&*clock);
    let numbers = end.numbers(format!(
        "SELECT count(*) AS n FROM job WHERE ended_at <= {now} - {age}
         UNION ALL SELECT count(*) FROM inbox WHERE received_at <= {now} - {age}
         UNION ALL SELECT count(*) FROM dead_letter WHERE closed_at <= {now} - {age}
         UNION ALL SELECT count(*) FROM gap WHERE until_at <= {now} - {age} AND EXISTS (
             SELECT 1 FROM gap AS newer WHERE newer.channel = gap.channel AND newer.seq > gap.seq)
         UNION ALL SELECT count(*) FROM audit WHERE at <= {now} - {audit}"
    ));
    let numbers = numbers.await?;
    end.close().await;
    let count = |place: usize| {
        let number = numbers.get(place).copied().unwrap_or(0);
        u64::try_from(number).unwrap_or(0)
    };
    Ok(Pruned {
        jobs: count(0),
        events: count(1),
        facts: 0,
        dead_letters: count(2),
        gaps: count(3),
        audit: count(4),
    })
}
