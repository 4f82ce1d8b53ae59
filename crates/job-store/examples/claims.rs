//! How fast jobs are claimed and finished beside a million finished ones, and how soon a
//! waiting worker hears of a new job.
//!
//! ```sh
//! cargo run --release -p job-store --example claims
//! ```
//!
//! `FINISHED` and `QUEUED` change the numbers. The time of one flush to disk is printed first:
//! without it no figure means anything.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that fails has nothing to say, and one that works prints"
)]

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::job::JobOutcome;
use domain::order::Fact;
use job_store::{PostgresStore, SqliteStore, StoreConfig};
use operations::JobStore;
use sqlx::{AssertSqlSafe, Connection};
use testkit::JobQueueExt;
use testkit::{FakeClock, new_job, order_id, owner};

const TTL: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() {
    let finished = number("FINISHED", 1_000_000);
    let queued = u32::try_from(number("QUEUED", 20_000)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    println!(
        "one flush takes {:?} (median of 200)",
        flush(folder.path()).await
    );

    let path = folder.path().join("jobs.db");
    let clock = Arc::new(FakeClock::default());
    let sqlite = SqliteStore::open(&path, Arc::clone(&clock) as _)
        .await
        .unwrap();
    let mut aside = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display()))
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
    aside.close().await.unwrap();
    let other = SqliteStore::open(&path, clock as _).await.unwrap();
    measure("SQLite", &sqlite, &other, queued).await;

    let database = test_postgres::Database::create().await;
    let config = StoreConfig::parse(&database.url()).unwrap();
    let postgres = PostgresStore::open(&config).await.unwrap();
    let mut aside = sqlx::PgConnection::connect(&database.url()).await.unwrap();
    let load = format!(
        "INSERT INTO job ({COLUMNS}) SELECT {VALUES} FROM generate_series(1, {finished}) AS n;
         ANALYZE job"
    );
    sqlx::raw_sql(AssertSqlSafe(load))
        .execute(&mut aside)
        .await
        .unwrap();
    let other = PostgresStore::open(&config).await.unwrap();
    measure("PostgreSQL", &postgres, &other, queued).await;
}

const COLUMNS: &str = "id, order_id, source, correlation, requested_at, enqueued_at, state, due_at,
    started_at, ended_at";
const VALUES: &str = "'old' || n, 'order' || n, 'event', 'correlation', 0, 0, 'succeeded', 0, 0, 0";

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(default)
}

async fn flush(folder: &std::path::Path) -> Duration {
    let path = folder.join("flush");
    let probe = move || {
        let mut file = std::fs::File::create(path).unwrap();
        let mut times: Vec<_> = (0..200)
            .map(|_| {
                let begun = Instant::now();
                file.write_all(&[7; 8192]).unwrap();
                file.sync_data().unwrap();
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        times[100]
    };
    tokio::task::spawn_blocking(probe).await.unwrap()
}

async fn measure<S: JobStore>(name: &str, store: &S, other: &S, queued: u32) {
    let begun = Instant::now();
    for from in (0..queued).step_by(1000) {
        let jobs: Vec<_> = (from..(from + 1000).min(queued))
            .map(|n| new_job(&format!("e{n}"), order_id(n), Some("k")))
            .collect();
        store.enqueue(&jobs).await.unwrap();
    }
    let rate = f64::from(queued) / begun.elapsed().as_secs_f64();
    println!("\n{name}: {rate:.0} jobs/s enqueued in batches of 1000");
    for limit in [1, 8, 64] {
        let begun = Instant::now();
        let mut times = Vec::new();
        let mut count: u32 = 0;
        while begun.elapsed() < Duration::from_secs(3) {
            let asked = Instant::now();
            let claimed = store.claim(&owner("w"), limit, TTL).await.unwrap();
            times.push(asked.elapsed());
            if claimed.is_empty() {
                break;
            }
            count += u32::try_from(claimed.len()).unwrap();
            let calls = claimed.iter().map(|job| async {
                store
                    .record(&job.lease, &[Fact::NotPlaced], &[])
                    .await
                    .unwrap();
                store
                    .finish(&job.lease, JobOutcome::Succeeded, &[Fact::Reported], &[])
                    .await
                    .unwrap();
            });
            futures::future::join_all(calls).await;
        }
        let rate = f64::from(count) / begun.elapsed().as_secs_f64();
        println!(
            "{name}: claim of {limit:>2}: {}; {rate:.0} jobs/s claimed, recorded and finished",
            spread(times)
        );
    }
    // The rest of the queue goes, so that a new job is the only one.
    loop {
        let rest = store.claim(&owner("w"), 1000, TTL).await.unwrap();
        if rest.is_empty() {
            break;
        }
        let calls = rest
            .iter()
            .map(|job| store.finish(&job.lease, JobOutcome::Skipped, &[], &[]));
        futures::future::join_all(calls).await;
    }
    let mut times = Vec::new();
    for n in 0..200 {
        let waiting = async {
            loop {
                store.wait_for_work(Duration::from_secs(15)).await;
                let claimed = store.claim(&owner("w"), 1, TTL).await.unwrap();
                if !claimed.is_empty() {
                    return (Instant::now(), claimed);
                }
            }
        };
        let enqueuing = async {
            // Until the other waits.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let job = new_job(&format!("wake{n}"), order_id(queued + n), None);
            let begun = Instant::now();
            other.enqueue(&[job]).await.unwrap();
            begun
        };
        let ((claimed_at, claimed), begun) = tokio::join!(waiting, enqueuing);
        times.push(claimed_at.duration_since(begun));
        store
            .finish(&claimed[0].lease, JobOutcome::Succeeded, &[], &[])
            .await
            .unwrap();
    }
    println!(
        "{name}: enqueued by another process until claimed: {}",
        spread(times)
    );
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("p50 {:.2?}, p99 {:.2?}", at(50), at(99))
}
