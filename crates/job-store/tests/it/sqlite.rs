//! The store's contract on a real SQLite file, and what only a file can show.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::job::JobOutcome;
use domain::key::WhmcsOrderId;
use domain::order::Fact;
use domain::ports::{EventIntake, JobQueue};
use job_store::{OpenError, SqliteStore, StoreConfig};
use operations::{
    AdminCommand, AdminCommands, JobStage, OrderQuery, OrderViews, Pausable, Statistics,
};
use sqlx::{Connection, SqliteConnection};
use testkit::JobQueueExt;
use testkit::{FakeClock, new_job, order_id, owner};

struct Opened {
    store: SqliteStore,
    clock: Arc<FakeClock>,
    folder: tempfile::TempDir,
}

async fn open() -> Opened {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FakeClock::default());
    Opened {
        store: open_in(&folder, &clock).await,
        clock,
        folder,
    }
}

impl Opened {
    /// Another store on the same file.
    async fn reopen(&self) -> SqliteStore {
        open_in(&self.folder, &self.clock).await
    }
}

async fn open_in(folder: &tempfile::TempDir, clock: &Arc<FakeClock>) -> SqliteStore {
    SqliteStore::open(&folder.path().join("new/jobs.db"), Arc::clone(clock) as _)
        .await
        .unwrap()
}

testkit::job_store_contract!(contract);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn committed_rows_survive_reopening() {
    let opened = open().await;
    let store = &opened.store;
    store
        .enqueue(&[new_job("e1", order_id(1), None)])
        .await
        .unwrap();
    drop(opened.store);
    let store = open_in(&opened.folder, &opened.clock).await;
    assert_eq!(
        store.queue_stats().await.unwrap().count(JobStage::Queued),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_stores_on_one_file_never_claim_same_job() {
    let opened = open().await;
    let store = &opened.store;
    let other = opened.reopen().await;
    let jobs: Vec<_> = (0..60)
        .map(|n| new_job(&format!("e{n}"), order_id(n), None))
        .collect();
    store.enqueue(&jobs).await.unwrap();
    let ttl = Duration::from_secs(60);
    let (a, b) = (owner("a"), owner("b"));
    let mut seen = std::collections::HashSet::new();
    loop {
        let (one, two) = tokio::join!(store.claim(&a, 7, ttl), other.claim(&b, 7, ttl));
        let claimed: Vec<_> = one.unwrap().into_iter().chain(two.unwrap()).collect();
        if claimed.is_empty() {
            break;
        }
        for claimed in claimed {
            assert!(
                seen.insert(claimed.job.id.clone()),
                "{} twice",
                claimed.job.id
            );
        }
    }
    assert_eq!(seen.len(), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn job_written_through_another_store_wakes_waiting_worker() {
    let opened = open().await;
    let store = &opened.store;
    let writer = opened.reopen().await;
    let far = Duration::from_secs(30);
    let begun = Instant::now();
    let waiting = store.wait_for_work(far);
    let writing = async {
        writer
            .enqueue(&[new_job("e1", order_id(1), None)])
            .await
            .unwrap();
    };
    tokio::join!(waiting, writing);
    assert!(
        begun.elapsed() < far,
        "the wait ended by the commit and not by its limit"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_starts_on_new_file_all_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(FakeClock::default());
    let opening = (0..6).map(|_| {
        let path = folder.path().join("jobs.db");
        let clock = Arc::clone(&clock);
        tokio::spawn(async move { SqliteStore::open(&path, clock as _).await.map(drop) })
    });
    for opened in opening.collect::<Vec<_>>() {
        opened.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paused_worker_is_not_woken_by_jobs_it_may_not_claim() {
    let opened = open().await;
    let store = &opened.store;
    let job = new_job("e1", order_id(1), None);
    store.enqueue(&[job]).await.unwrap();
    let what = Pausable::Worker;
    let pause = AdminCommand::Pause { what };
    store.execute(&pause, "ada", "because").await.unwrap();
    // The commits may wake it, a due job must not: of many waits in a row, some last.
    let begun = Instant::now();
    let pause = Duration::from_millis(50);
    let mut waits = Vec::new();
    for _ in 0..10 {
        let begun = Instant::now();
        store.wait_for_work(pause).await;
        waits.push(begun.elapsed());
    }
    assert!(begun.elapsed() >= pause * 5, "{waits:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migration_from_previous_release_fills_order_list() {
    let opened = open().await;
    let store = &opened.store;
    store
        .enqueue(&[new_job("e1", order_id(1), None)])
        .await
        .unwrap();
    let claimed = store.claim(&owner("w"), 1, Duration::from_secs(9)).await;
    let lease = claimed.unwrap().remove(0).lease;
    let order = WhmcsOrderId(41);
    let facts = [Fact::Placed { order }];
    store
        .finish(&lease, JobOutcome::Succeeded, &facts, &[])
        .await
        .unwrap();
    store
        .enqueue(&[new_job("e2", order_id(2), None)])
        .await
        .unwrap();
    let query = OrderQuery {
        limit: 9,
        ..OrderQuery::default()
    };
    let kept = store.orders(&query).await.unwrap();
    drop(opened.store);
    let file = opened.folder.path().join("new/jobs.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut old = SqliteConnection::connect_with(&options).await.unwrap();
    let undo =
        "DROP TABLE orders; DROP TABLE pause; DELETE FROM _sqlx_migrations WHERE version = 3";
    sqlx::raw_sql(undo).execute(&mut old).await.unwrap();
    old.close().await.unwrap();
    let store = open_in(&opened.folder, &opened.clock).await;
    assert_eq!(store.orders(&query).await.unwrap(), kept);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frequent_counts_scan_no_finished_job() {
    let opened = open().await;
    let store = &opened.store;
    let plan = store.explain_tally().await.unwrap();
    let whole = |line: &&str| {
        let scanned = ["SCAN job", "SCAN fact"]
            .iter()
            .any(|scan| line.starts_with(scan));
        scanned && !line.contains("USING")
    };
    assert_eq!(plan.lines().find(whole), None, "{plan}");
    for index in [
        "job_queued",
        "job_live",
        "fact_marker_kept",
        "fact_marker_lost",
    ] {
        assert!(plan.contains(index), "{plan}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_files_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let Opened { store, folder, .. } = open().await;
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder.path().join("new")).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        let name = entry.file_name().into_string().unwrap();
        assert_eq!(mode, 0o600, "{name} has mode {mode:o}");
        names.push(name);
    }
    for name in ["jobs.db", "jobs.db-wal", "jobs.db-shm"] {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
    drop(store);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn path_that_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("notes.txt");
    std::fs::write(
        &file,
        "this is not a database, it is a text of some length\n".repeat(20),
    )
    .unwrap();
    for path in [file.join("below-a-file.db"), file, folder.path().to_owned()] {
        let config = StoreConfig::parse(&format!("sqlite:{}", path.display())).unwrap();
        let opened = job_store::open(&config, Arc::new(FakeClock::default())).await;
        let error = opened.err().unwrap();
        assert!(
            matches!(error, OpenError::Unusable { .. }),
            "{path:?}: {error:?}"
        );
        assert!(
            error.to_string().contains(&*path.to_string_lossy()),
            "{error}"
        );
    }
}
