//! Benchmark of the statistics that consoles and monitors read often, with a million jobs that
//! have ended.
//!
//! ```sh
//! cargo run --release -p job-store --example tally
//! ```
//!
//! `FINISHED` changes the number. The scan of all jobs, which a tally once was, is timed as well.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that fails has nothing to say, and one that works prints"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use job_store::{PostgresStore, SqliteStore, StoreConfig};
use operations::JobStore;
use sqlx::{AssertSqlSafe, Connection};
use testkit::{FakeClock, new_job, order_id};

/// Each is asked for so often; the median is printed.
const TIMES: usize = 21;
const COLUMNS: &str = "id, order_id, source, correlation, requested_at, enqueued_at, state, due_at,
    started_at, ended_at";
const VALUES: &str = "'old' || n, 'order' || n, 'event', 'correlation', 0, 0, 'succeeded', 0, 0, 0";
const SCAN: &str = "SELECT state, count(*) FROM job GROUP BY state";

#[tokio::main]
async fn main() {
    let finished = std::env::var("FINISHED").unwrap_or_else(|_| "1000000".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let clock = Arc::new(FakeClock::default());
    let sqlite = SqliteStore::open(&path, clock as _).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut aside = sqlx::SqliteConnection::connect_with(&options)
        .await
        .unwrap();
    let load = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {finished})
         INSERT INTO job ({COLUMNS}) SELECT {VALUES} FROM numbers"
    );
    sqlx::raw_sql(AssertSqlSafe(load))
        .execute(&mut aside)
        .await
        .unwrap();
    let scan = median(async || {
        sqlx::query(SCAN).fetch_all(&mut aside).await.unwrap();
    });
    measure("SQLite", scan.await, &sqlite).await;

    let database = test_postgres::Database::create().await;
    let config = StoreConfig::parse(&database.url()).unwrap();
    let postgres = PostgresStore::open(&config).await.unwrap();
    let mut aside = sqlx::PgConnection::connect(&database.url()).await.unwrap();
    let load = format!(
        "INSERT INTO job ({COLUMNS}) SELECT {VALUES} FROM generate_series(1, {finished}) AS n"
    );
    sqlx::raw_sql(AssertSqlSafe(load))
        .execute(&mut aside)
        .await
        .unwrap();
    sqlx::raw_sql("VACUUM ANALYZE job")
        .execute(&mut aside)
        .await
        .unwrap();
    let scan = median(async || {
        sqlx::query(SCAN).fetch_all(&mut aside).await.unwrap();
    });
    measure("PostgreSQL", scan.await, &postgres).await;
}

async fn median(mut ask: impl AsyncFnMut()) -> Duration {
    let mut times = Vec::with_capacity(TIMES);
    for _ in 0..TIMES {
        let begun = Instant::now();
        ask().await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    times[TIMES / 2]
}

async fn measure(engine: &str, scan: Duration, store: &dyn JobStore) {
    let jobs: Vec<_> = (0..1000)
        .map(|n| new_job(&format!("e{n}"), order_id(n), None))
        .collect();
    store.enqueue(&jobs).await.unwrap();
    let queue_stats = median(async || {
        store.queue_stats().await.unwrap();
    });
    let letters = median(async || {
        store.open_dead_letters().await.unwrap();
    });
    let hour = Duration::from_secs(3600);
    let stuck = median(async || {
        store.stuck_orders(hour, hour / 2).await.unwrap();
    });
    println!(
        "{engine}: all jobs scanned {scan:.2?}; queue_stats {:.2?}, open dead letters {:.2?}, stuck orders {:.2?} (1000 queued)",
        queue_stats.await,
        letters.await,
        stuck.await
    );
}
