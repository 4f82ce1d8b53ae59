//! The store's contract on a real PostgreSQL, and what only a server can show.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::job::{Admission, JobOutcome, NewJob};
use domain::order::Fact;
use domain::ports::{Entry, EventIntake, JobQueue, LeaderElection, StoreError};
use job_store::{PostgresStore, StoreConfig};
use operations::{JobStage, OrderViews, Statistics, StoreHealth};
use sqlx::{Connection, PgConnection};
use test_postgres::Database;
use testkit::JobQueueExt;
use testkit::{FakeClock, channel, delivery, lead, new_job, order_id, owner};

use crate::pooler::Pooler;

struct Opened {
    store: PostgresStore,
    clock: Arc<FakeClock>,
    database: Database,
}

async fn open() -> Opened {
    let database = Database::create().await;
    let clock = Arc::new(FakeClock::default());
    Opened {
        store: connect(&database, &clock).await,
        clock,
        database,
    }
}

async fn connect(database: &Database, clock: &Arc<FakeClock>) -> PostgresStore {
    let config = StoreConfig::parse(&database.url()).unwrap();
    let clock = Arc::clone(clock);
    PostgresStore::open_shifted(&config, Arc::new(move || clock.advanced()))
        .await
        .unwrap()
}

testkit::job_store_contract!(contract);

fn jobs(count: u32) -> Vec<NewJob> {
    (0..count)
        .map(|n| new_job(&format!("e{n}"), order_id(n), None))
        .collect()
}

/// 50,000 finished jobs.
const FINISHED_JOBS: &str =
    "INSERT INTO job (id, order_id, source, correlation, requested_at, enqueued_at, state,
        due_at, ended_at)
    SELECT 'old' || n, 'order' || n, 'event', 'c', 0, 0, 'succeeded', 0, 0
    FROM generate_series(1, 50000) AS n";

/// A connection of the test's own.
async fn aside(database: &Database) -> PgConnection {
    PgConnection::connect(&database.url()).await.unwrap()
}

async fn execute(connection: &mut PgConnection, text: &'static str) {
    sqlx::raw_sql(text).execute(connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_starts_on_new_database_all_open_it() {
    let database = Database::create().await;
    let clock = Arc::new(FakeClock::default());
    let stores = (0..6).map(|_| connect(&database, &clock));
    for store in futures::future::join_all(stores).await {
        store.ping().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_database_is_created() {
    let database = Database::create().await;
    let url = format!("{}_new", database.url());
    let config = StoreConfig::parse(&url).unwrap();
    let opened = futures::future::join_all((0..3).map(|_| PostgresStore::open(&config))).await;
    for store in opened {
        store.unwrap().ping().await.unwrap();
    }
    let name = url.rsplit('/').next().unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "DROP DATABASE {name} WITH (FORCE)"
    )))
    .execute(&mut aside(&database).await)
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn database_of_newer_release_is_rejected() {
    let Opened {
        store, database, ..
    } = open().await;
    drop(store);
    execute(
        &mut aside(&database).await,
        "INSERT INTO schema_version (version, checksum) VALUES (9999, '')",
    )
    .await;
    let config = StoreConfig::parse(&database.url()).unwrap();
    assert!(PostgresStore::open(&config).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_committed_by_another_process_wakes_waiting_worker() {
    let opened = open().await;
    let other = connect(&opened.database, &opened.clock).await;
    let far = Duration::from_secs(30);
    let begun = Instant::now();
    let woken = async {
        // A listener that has just begun to listen wakes once for that.
        while opened
            .store
            .claim(&owner("w"), 1, far)
            .await
            .unwrap()
            .is_empty()
        {
            opened.store.wait_for_work(far).await;
        }
    };
    let job = jobs(1);
    let ((), enqueued) = tokio::join!(woken, other.enqueue(&job));
    enqueued.unwrap();
    assert!(
        begun.elapsed() < far,
        "the wait ended by the commit and not by its limit"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_recover_without_restart() {
    let Opened {
        store,
        clock,
        database,
    } = open().await;
    let other = connect(&database, &clock).await;
    let mut aside = aside(&database).await;
    let mut expected = 0;
    for round in 0..5 {
        // Several connections each, the listeners' among them.
        let busy = (0..6).map(|_| store.ping());
        for answer in futures::future::join_all(busy).await {
            answer.unwrap();
        }
        execute(
            &mut aside,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        let job = new_job(&format!("round{round}"), order_id(round), None);
        assert_eq!(store.enqueue(&[job]).await.unwrap(), [Admission::Enqueued]);
        expected += 1;
        let queue_stats = other.queue_stats().await.unwrap();
        assert_eq!(queue_stats.count(JobStage::Queued), expected);
    }
    let ttl = Duration::from_secs(60);
    assert_eq!(other.claim(&owner("w"), 10, ttl).await.unwrap().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conflict_is_retried_without_double_effect() {
    let Opened {
        store, database, ..
    } = open().await;
    // Sequences are not rolled back, so they can count the tries.
    execute(
        &mut aside(&database).await,
        "CREATE SEQUENCE tries;
         CREATE FUNCTION conflict() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF nextval('tries') < 3 THEN
                 RAISE SQLSTATE '40001';
             END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER conflict AFTER INSERT ON job EXECUTE FUNCTION conflict()",
    )
    .await;
    assert_eq!(
        store.enqueue(&jobs(1)).await.unwrap(),
        [Admission::Enqueued]
    );
    assert_eq!(
        store.queue_stats().await.unwrap().count(JobStage::Queued),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hanging_database_is_unavailable_within_deadline_then_usable() {
    let Opened {
        store, database, ..
    } = open().await;
    let store = store.with_deadline(Duration::from_millis(400));
    let mut aside = aside(&database).await;
    execute(&mut aside, "BEGIN; LOCK TABLE job IN ACCESS EXCLUSIVE MODE").await;
    let ttl = Duration::from_secs(15);
    let begun = Instant::now();
    // More at once than there are connections.
    let workers: Vec<_> = (0..20).map(|n| owner(&format!("w{n}"))).collect();
    let calls = workers.iter().map(|worker| store.claim(worker, 1, ttl));
    for answer in futures::future::join_all(calls).await {
        assert!(matches!(answer, Err(StoreError::Unavailable(_))));
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "it did not hang");
    execute(&mut aside, "ROLLBACK").await;
    store.enqueue(&jobs(1)).await.unwrap();
    assert_eq!(store.claim(&owner("w"), 1, ttl).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn abandoned_call_leaves_no_open_transaction() {
    let Opened {
        store, database, ..
    } = open().await;
    store.enqueue(&jobs(1)).await.unwrap();
    let mut aside = aside(&database).await;
    execute(
        &mut aside,
        "BEGIN; LOCK TABLE fact IN ACCESS EXCLUSIVE MODE",
    )
    .await;
    let ttl = Duration::from_secs(15);
    let worker = owner("w");
    // The claim holds its row by now, and waits for the table of facts.
    let moment = Duration::from_millis(50);
    let given_up = tokio::time::timeout(moment, store.claim(&worker, 1, ttl)).await;
    assert!(given_up.is_err());
    execute(&mut aside, "ROLLBACK").await;
    let mut claimed = Vec::new();
    while claimed.is_empty() {
        // Until what was given up is undone.
        claimed = store.claim(&worker, 1, ttl).await.unwrap();
    }
    assert_eq!(claimed.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claim_uses_indexes_of_live_jobs_only() {
    let Opened {
        store, database, ..
    } = open().await;
    store.enqueue(&jobs(200)).await.unwrap();
    let mut aside = aside(&database).await;
    let plan_is_good = |plan: &str| {
        assert!(plan.contains("Index Scan using job_queued"), "{plan}");
        assert!(plan.contains("job_one_lease_per_order"), "{plan}");
        assert!(plan.contains("using job_live"), "{plan}");
        assert!(!plan.contains("Seq Scan on job"), "{plan}");
    };
    execute(&mut aside, FINISHED_JOBS).await;
    // Before the statistics are gathered, and after.
    plan_is_good(&store.explain_claim().await.unwrap());
    execute(&mut aside, "ANALYZE job").await;
    plan_is_good(&store.explain_claim().await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frequent_counts_scan_no_finished_job() {
    let Opened {
        store, database, ..
    } = open().await;
    store.enqueue(&jobs(200)).await.unwrap();
    let mut aside = aside(&database).await;
    execute(&mut aside, FINISHED_JOBS).await;
    for statistics in ["SELECT 1", "ANALYZE job"] {
        execute(&mut aside, statistics).await;
        let plan = store.explain_tally().await.unwrap();
        assert!(!plan.contains("Seq Scan on job "), "{plan}");
        assert!(plan.contains("job_queued"), "{plan}");
        assert!(plan.contains("job_live"), "{plan}");
    }
    assert_eq!(
        store
            .queue_stats()
            .await
            .unwrap()
            .count(JobStage::Ended(JobOutcome::Succeeded)),
        50_000
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_through_transaction_mode_pooler() {
    let database = Database::create().await;
    works_through(Pooler::start(&database.url()).await).await;
}

/// A LISTEN would stay with a session that another client uses next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn works_through_pooler_with_shared_sessions() {
    let database = Database::create().await;
    works_through(Pooler::sharing(&database.url()).await).await;
}

async fn works_through(pooler: Pooler) {
    let config = StoreConfig::parse(pooler.url()).unwrap();
    // Twice, so that what the first left in the sessions would be in the second's way.
    for round in 0..2 {
        let store = PostgresStore::open(&config).await.unwrap();
        let ttl = Duration::from_secs(60);
        let epoch = lead(&store, &channel(), "s", ttl).await;
        for n in 0..20 {
            let job = new_job(&format!("{round}-{n}"), order_id(n), None);
            let delivery = delivery(epoch, vec![Entry::Job(job)], 1);
            store.accept(&delivery).await.unwrap();
        }
        let worker = owner(&format!("w{round}"));
        let claimed = store.claim(&worker, 30, ttl).await.unwrap();
        assert_eq!(claimed.len(), 20);
        for job in claimed {
            store
                .record(&job.lease, &[Fact::NotPlaced], &[])
                .await
                .unwrap();
            let lost = store.renew(std::slice::from_ref(&job.lease), ttl).await;
            assert!(lost.unwrap().is_empty());
            store
                .finish(&job.lease, JobOutcome::Succeeded, &[], &[])
                .await
                .unwrap();
        }
        store.resign(&channel(), &owner("s")).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migration_from_previous_release_fills_order_list() {
    let Opened {
        store,
        clock,
        database,
    } = open().await;
    store.enqueue(&jobs(2)).await.unwrap();
    let claimed = store.claim(&owner("w"), 1, Duration::from_secs(9)).await;
    let lease = claimed.unwrap().remove(0).lease;
    let order = domain::key::WhmcsOrderId(41);
    let facts = [Fact::Placed { order }];
    store
        .finish(&lease, JobOutcome::Succeeded, &facts, &[])
        .await
        .unwrap();
    let query = operations::OrderQuery {
        limit: 9,
        ..Default::default()
    };
    let kept = store.orders(&query).await.unwrap();
    assert_eq!(kept[0].whmcs_order, Some(order));
    drop(store);
    let mut old = aside(&database).await;
    execute(
        &mut old,
        "DROP TABLE orders; DROP TABLE pause; DELETE FROM schema_version WHERE version = 2",
    )
    .await;
    let store = connect(&database, &clock).await;
    let mut rebuilt = store.orders(&query).await.unwrap();
    for (row, kept) in rebuilt.iter_mut().zip(&kept) {
        // Each statement has its own reading of the clock.
        assert!(kept.updated_at.since(row.updated_at) < Duration::from_secs(1));
        row.updated_at = kept.updated_at;
    }
    assert_eq!(rebuilt, kept);
}
