//! Rows that cannot be decoded are set aside and block nothing.

use std::sync::Arc;
use std::time::Duration;

use domain::failure::Code;
use domain::job::JobOutcome;
use domain::key::JobId;
use domain::order::Fact;
use domain::ports::{EventIntake, JobQueue, Release, StoreError};
use job_store::{PostgresStore, SqliteStore, StoreConfig};
use operations::{JobStage, JobStore, OrderQuery};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use test_postgres::Database;
use testkit::JobQueueExt;
use testkit::{FakeClock, new_job, order_id, owner};

const TTL: Duration = Duration::from_secs(15);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A way to damage the rows of a store from aside.
enum Aside {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Aside {
    async fn damage(&mut self, text: &str) {
        let text = AssertSqlSafe(text.to_owned());
        match self {
            Self::Sqlite(connection) => {
                let done = sqlx::raw_sql(text).execute(connection).await.unwrap();
                assert_eq!(done.rows_affected(), 1);
            }
            Self::Postgres(connection) => {
                let done = sqlx::raw_sql(text).execute(connection).await.unwrap();
                assert_eq!(done.rows_affected(), 1);
            }
        }
    }
}

/// The third of four orders is damaged; the others are claimed as if it were not there.
async fn is_set_aside<S>(store: &S, mut aside: Aside, damage: &str)
where
    S: JobStore,
{
    for n in 1..=4 {
        let job = new_job(&format!("e{n}"), order_id(n), Some("k"));
        store.enqueue(&[job]).await.unwrap();
    }
    let again = Release {
        after: Duration::ZERO,
        deferral: false,
    };
    for job in store.claim(&owner("w"), 9, TTL).await.unwrap() {
        store
            .record(&job.lease, &[Fact::NotPlaced], &[])
            .await
            .unwrap();
        store.release(&job.lease, again, &[]).await.unwrap();
    }
    aside.damage(damage).await;
    let claimed = store.claim(&owner("w"), 9, TTL).await.unwrap();
    let orders: Vec<_> = claimed.iter().map(|job| job.job.order).collect();
    assert_eq!(orders, [1, 2, 4].map(order_id), "{damage}");
    assert!(store.claim(&owner("w"), 9, TTL).await.unwrap().is_empty());
    let found = store.unreadable_jobs(DAY).await.unwrap();
    assert_eq!(found.jobs, 1, "{damage}");
    assert!(!found.cause.is_empty());
    // Views do not fail because of it.
    let facts_are_damaged = damage.starts_with("UPDATE fact");
    let facts = store.facts_of(order_id(3)).await.unwrap();
    assert_eq!(
        facts.len(),
        usize::from(!facts_are_damaged),
        "none was appended"
    );
    store.jobs_of(order_id(3)).await.unwrap();
    let damaged = JobId::new("e3").unwrap();
    store.job(&damaged).await.unwrap();
    assert!(store.jobs(None, None, 9).await.unwrap().len() >= 3);
    let since = claimed[0].at - DAY;
    assert!(store.finished_jobs(since, 9).await.unwrap().len() <= 1);
    assert_eq!(
        store
            .queue_stats()
            .await
            .unwrap()
            .count(JobStage::Ended(JobOutcome::Failed)),
        1
    );
    let query = OrderQuery {
        limit: 9,
        ..OrderQuery::default()
    };
    let rows = store.orders(&query).await.unwrap();
    assert_eq!(rows.len(), 4);
    let shown = rows.iter().find(|row| row.order == order_id(3)).unwrap();
    if !damage.contains("SET order_id") {
        assert_eq!(shown.code, Some(Code::Internal), "{damage}");
        assert_eq!(shown.stage, JobStage::Ended(JobOutcome::Failed));
    }
    // The stream goes on, with another job of the same order too.
    let retry = new_job("again", order_id(3), Some("k2"));
    store.enqueue(&[retry]).await.unwrap();
    let again = store.claim(&owner("w"), 9, TTL).await.unwrap();
    assert_eq!(again.len(), usize::from(!facts_are_damaged), "{damage}");
    let found = store.unreadable_jobs(DAY).await.unwrap();
    assert_eq!(found.jobs, 1 + u64::from(facts_are_damaged));
    for job in claimed.iter().chain(&again) {
        let ended = store.finish(&job.lease, JobOutcome::Succeeded, &[], &[]);
        ended.await.unwrap();
    }
}

async fn on_sqlite(damage: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let clock = Arc::new(FakeClock::default());
    let store = SqliteStore::open(&path, clock as _).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let aside = SqliteConnection::connect_with(&options).await.unwrap();
    is_set_aside(&store, Aside::Sqlite(aside), damage).await;
}

async fn on_postgres(before: &str, damage: &str) {
    let database = Database::create().await;
    let config = StoreConfig::parse(&database.url()).unwrap();
    let store = PostgresStore::open(&config).await.unwrap();
    let mut aside = PgConnection::connect(&database.url()).await.unwrap();
    let before = AssertSqlSafe(before.to_owned());
    sqlx::raw_sql(before).execute(&mut aside).await.unwrap();
    is_set_aside(&store, Aside::Postgres(aside), damage).await;
}

fn damaged(what: &str) -> String {
    let order = order_id(3);
    format!("UPDATE {what} WHERE order_id = '{order}'")
}

macro_rules! each_store {
    ($($name:ident: $what:literal,)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::on_sqlite(&super::damaged($what)).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::on_postgres("", &super::damaged($what)).await;
            })*
        }
    };
}

each_store! {
    a_fact_of_a_newer_release_is_set_aside: "fact SET kind = 'dreamt'",
    a_fact_that_is_no_json_is_set_aside: "fact SET body = '{'",
    a_fact_that_lacks_a_field_is_set_aside: "fact SET kind = 'placed'",
    a_job_of_an_order_that_is_none_is_set_aside: "job SET order_id = 'nonsense'",
    a_job_from_an_unknown_source_is_set_aside: "job SET source = 'dreamt'",
    a_job_without_a_correlation_is_set_aside: "job SET correlation = ' '",
    a_job_without_an_id_is_set_aside: "job SET id = ''",
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalid_utf8_is_set_aside() {
    on_sqlite(&damaged("job SET correlation = CAST(x'ff' AS TEXT)")).await;
    on_sqlite(&damaged("fact SET body = CAST(x'ff' AS TEXT)")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unexpected_null_is_set_aside() {
    for column in ["correlation", "requested_at", "enqueued_at", "source"] {
        let before = format!("ALTER TABLE job ALTER {column} DROP NOT NULL");
        on_postgres(&before, &damaged(&format!("job SET {column} = NULL"))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn former_owner_cannot_write_job_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.db");
    let clock = Arc::new(FakeClock::default());
    let store = SqliteStore::open(&path, Arc::clone(&clock) as _)
        .await
        .unwrap();
    let job = new_job("e1", order_id(3), None);
    store.enqueue(&[job]).await.unwrap();
    let had = store.claim(&owner("old"), 1, TTL).await.unwrap().remove(0);
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let aside = SqliteConnection::connect_with(&options).await.unwrap();
    let damage = damaged("job SET source = 'dreamt'");
    Aside::Sqlite(aside).damage(&damage).await;
    clock.advance(TTL);
    assert!(store.claim(&owner("w"), 1, TTL).await.unwrap().is_empty());
    let late = store.record(&had.lease, &[Fact::NotPlaced], &[]).await;
    assert!(matches!(late, Err(StoreError::LeaseLost)));
}
