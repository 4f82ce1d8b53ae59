//! The source or target of a copy: reads and writes rows in pages.

use std::fmt::Write;
use std::time::Duration;

use domain::ports::{Clock, StoreError};
use operations::PROCESS_ALIVE;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, PgConnection, Postgres, Sqlite, SqliteConnection,
};

use super::table::{Cell, Kind, Row, Table};
use crate::config::{Address, StoreConfig};
use crate::error::{OrUnavailable, unavailable};
use crate::row::Columns;

/// Rows per page.
pub(crate) const PAGE: usize = 1000;
/// Deadline of one page.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) enum End {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// A process that is registered with a store.
pub(crate) struct Alive {
    pub(crate) role: String,
    pub(crate) host: String,
    pub(crate) pid: i64,
    pub(crate) seconds: i64,
}

impl Alive {
    fn of(found: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            role: found.text("role")?,
            host: found.text("host")?,
            pid: found.int("pid")?,
            seconds: found.int("seconds")?,
        })
    }
}

async fn in_time<T>(call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(PATIENCE, call)
        .await
        .unwrap_or_else(|_| {
            Err(StoreError::Unavailable(
                "the store did not answer in time".into(),
            ))
        })
}

impl End {
    /// Connects to an existing, migrated store.
    pub(crate) async fn connect(config: &StoreConfig) -> Result<Self, StoreError> {
        match &config.0 {
            Address::Sqlite(path) => sqlx::sqlite::SqliteConnectOptions::new()
                .filename(path)
                .synchronous(sqlx::sqlite::SqliteSynchronous::Full)
                .busy_timeout(Duration::from_secs(5))
                .disable_statement_logging()
                .connect()
                .await
                .map(Self::Sqlite),
            Address::Postgres(options) => options
                .as_ref()
                .clone()
                .extra_float_digits(None)
                .disable_statement_logging()
                .connect()
                .await
                .map(Self::Postgres),
        }
        .or_unavailable()
    }

    /// Starts a snapshot: later reads ignore what is written meanwhile.
    pub(crate) async fn freeze(&mut self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(_) => self.execute("BEGIN").await,
            Self::Postgres(_) => {
                self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await
            }
        }
    }

    pub(crate) async fn close(self) {
        // The connection may be gone already.
        let _ = match self {
            Self::Sqlite(connection) => connection.close().await,
            Self::Postgres(connection) => connection.close().await,
        };
    }

    /// Whether a lease of a job or a channel is still valid.
    pub(crate) async fn is_in_use(&mut self, clock: &dyn Clock) -> Result<bool, StoreError> {
        let now = self.now(clock);
        let held = self.number(format!(
            "SELECT (SELECT count(*) FROM job WHERE state = 'leased' AND lease_until > {now})
                  + (SELECT count(*) FROM stream WHERE owner IS NOT NULL AND lease_until > {now}) AS n"
        ));
        Ok(held.await? > 0)
    }

    /// A registered process whose heartbeat is recent, if there is one.
    pub(crate) async fn alive(&mut self, clock: &dyn Clock) -> Result<Option<Alive>, StoreError> {
        let (now, alive) = (self.now(clock), PROCESS_ALIVE.as_millis());
        let text = AssertSqlSafe(format!(
            "SELECT role, host, pid, CAST(({now} - seen_at) / 1000 AS bigint) AS seconds
             FROM process WHERE seen_at > {now} - {alive} ORDER BY seen_at DESC LIMIT 1"
        ));
        in_time(async {
            match self {
                Self::Sqlite(connection) => {
                    let found = sqlx::query(text).fetch_optional(connection).await;
                    found.or_unavailable()?.as_ref().map(Alive::of).transpose()
                }
                Self::Postgres(connection) => {
                    let query = sqlx::query(text).persistent(false);
                    let found = query.fetch_optional(connection).await;
                    found.or_unavailable()?.as_ref().map(Alive::of).transpose()
                }
            }
        })
        .await
    }

    pub(crate) async fn count(&mut self, table: &Table) -> Result<u64, StoreError> {
        let count = self.number(format!("SELECT count(*) AS n FROM {}", table.name));
        Ok(u64::try_from(count.await?).unwrap_or(0))
    }

    /// The store's time in milliseconds, for a statement.
    pub(crate) fn now(&self, clock: &dyn Clock) -> String {
        match self {
            Self::Sqlite(_) => clock.now().as_millis().to_string(),
            Self::Postgres(_) => "extract(epoch FROM now()) * 1000".to_owned(),
        }
    }

    async fn number(&mut self, text: String) -> Result<i64, StoreError> {
        Ok(self.numbers(text).await?.first().copied().unwrap_or(0))
    }

    /// The column `n` of a statement of this crate.
    pub(crate) async fn numbers(&mut self, text: String) -> Result<Vec<i64>, StoreError> {
        in_time(async {
            let text = AssertSqlSafe(text);
            match self {
                Self::Sqlite(connection) => {
                    let rows = sqlx::query(text).fetch_all(connection).await;
                    let rows = rows.or_unavailable()?;
                    rows.iter().map(|row| row.int("n")).collect()
                }
                Self::Postgres(connection) => {
                    let query = sqlx::query(text).persistent(false);
                    let rows = query.fetch_all(connection).await.or_unavailable()?;
                    rows.iter().map(|row| row.int("n")).collect()
                }
            }
        })
        .await
    }

    /// Up to `limit` rows after a key, in key order.
    pub(crate) async fn page(
        &mut self,
        table: &Table,
        after: Option<&[Cell]>,
        limit: usize,
    ) -> Result<Vec<Row>, StoreError> {
        let (names, key) = (table.names(), table.key_names());
        let mut text = format!("SELECT {names} FROM {}", table.name);
        if after.is_some() {
            let marks: Vec<_> = (1..=table.key).map(|place| format!("${place}")).collect();
            // Writing to a String cannot fail.
            let _ = write!(text, " WHERE ({key}) > ({})", marks.join(", "));
        }
        let _ = write!(text, " ORDER BY {key} LIMIT {limit}");
        let text = AssertSqlSafe(text);
        let after = after.unwrap_or_default();
        in_time(async {
            match self {
                Self::Sqlite(connection) => {
                    let query = after.iter().fold(sqlx::query(text), bind_sqlite);
                    let rows = query.fetch_all(connection).await.or_unavailable()?;
                    rows.iter().map(|row| read(table, row)).collect()
                }
                Self::Postgres(connection) => {
                    let query = sqlx::query(text).persistent(false);
                    let query = after.iter().fold(query, bind_postgres);
                    let rows = query.fetch_all(connection).await.or_unavailable()?;
                    rows.iter().map(|row| read(table, row)).collect()
                }
            }
        })
        .await
    }

    /// Adds rows in one commit.
    pub(crate) async fn insert(&mut self, table: &Table, rows: &[Row]) -> Result<(), StoreError> {
        in_time(async {
            match self {
                Self::Sqlite(connection) => insert_sqlite(connection, table, rows).await,
                Self::Postgres(connection) => insert_postgres(connection, table, rows).await,
            }
        })
        .await
    }

    async fn execute(&mut self, text: &'static str) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(connection) => sqlx::raw_sql(text).execute(connection).await.map(|_| ()),
            Self::Postgres(connection) => sqlx::raw_sql(text).execute(connection).await.map(|_| ()),
        }
        .map_err(unavailable)
    }
}

fn read(table: &Table, row: &impl Columns) -> Result<Row, StoreError> {
    table
        .columns
        .iter()
        .map(|(name, kind)| {
            Ok(match kind {
                Kind::Int => row.maybe_int(name)?.map_or(Cell::Null, Cell::Int),
                Kind::Text => row.maybe_text(name)?.map_or(Cell::Null, Cell::Text),
                Kind::Bytes => row.maybe_bytes(name)?.map_or(Cell::Null, Cell::Bytes),
            })
        })
        .collect()
}

type SqliteQuery<'q> = Query<'q, Sqlite, sqlx::sqlite::SqliteArguments>;

fn bind_sqlite<'q>(query: SqliteQuery<'q>, cell: &Cell) -> SqliteQuery<'q> {
    match cell {
        Cell::Null => query.bind(None::<i64>),
        Cell::Int(number) => query.bind(*number),
        Cell::Text(text) => query.bind(text.clone()),
        Cell::Bytes(bytes) => query.bind(bytes.clone()),
    }
}

fn bind_postgres<'q>(
    query: Query<'q, Postgres, PgArguments>,
    cell: &Cell,
) -> Query<'q, Postgres, PgArguments> {
    match cell {
        Cell::Null => query.bind(None::<i64>),
        Cell::Int(number) => query.bind(*number),
        Cell::Text(text) => query.bind(text.clone()),
        Cell::Bytes(bytes) => query.bind(bytes.clone()),
    }
}

async fn insert_sqlite(
    connection: &mut SqliteConnection,
    table: &Table,
    rows: &[Row],
) -> Result<(), StoreError> {
    let marks = vec!["?"; table.columns.len()].join(", ");
    let text = format!(
        "INSERT INTO {} ({}) VALUES ({marks})",
        table.name,
        table.names()
    );
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .or_unavailable()?;
    for row in rows {
        let query = sqlx::query(AssertSqlSafe(text.clone()));
        row.iter()
            .fold(query, bind_sqlite)
            .execute(&mut *transaction)
            .await
            .or_unavailable()?;
    }
    transaction.commit().await.or_unavailable()
}

async fn insert_postgres(
    connection: &mut PgConnection,
    table: &Table,
    rows: &[Row],
) -> Result<(), StoreError> {
    let arrays: Vec<_> = table
        .columns
        .iter()
        .enumerate()
        .map(|(place, (_, kind))| {
            let array = match kind {
                Kind::Int => "bigint[]",
                Kind::Text => "text[]",
                Kind::Bytes => "bytea[]",
            };
            format!("${}::{array}", place + 1)
        })
        .collect();
    let text = format!(
        "INSERT INTO {} ({}) SELECT * FROM unnest({})",
        table.name,
        table.names(),
        arrays.join(", ")
    );
    let mut transaction = connection.begin().await.or_unavailable()?;
    let mut query = sqlx::query(AssertSqlSafe(text)).persistent(false);
    for (place, (_, kind)) in table.columns.iter().enumerate() {
        let column = rows.iter().map(|row| &row[place]);
        query = match kind {
            Kind::Int => query.bind(column.map(int).collect::<Vec<_>>()),
            Kind::Text => query.bind(column.map(text_of).collect::<Vec<_>>()),
            Kind::Bytes => query.bind(column.map(bytes).collect::<Vec<_>>()),
        };
    }
    query.execute(&mut *transaction).await.or_unavailable()?;
    if table.is_numbered() {
        // The next generated number follows the copied ones.
        let text = format!(
            "SELECT setval(pg_get_serial_sequence('{0}', 'seq'), max(seq)) FROM {0}",
            table.name
        );
        sqlx::query(AssertSqlSafe(text))
            .persistent(false)
            .execute(&mut *transaction)
            .await
            .or_unavailable()?;
    }
    transaction.commit().await.or_unavailable()
}

fn int(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Int(number) => Some(*number),
        _ => None,
    }
}

fn text_of(cell: &Cell) -> Option<&str> {
    match cell {
        Cell::Text(text) => Some(text),
        _ => None,
    }
}

fn bytes(cell: &Cell) -> Option<&[u8]> {
    match cell {
        Cell::Bytes(bytes) => Some(bytes),
        _ => None,
    }
}
