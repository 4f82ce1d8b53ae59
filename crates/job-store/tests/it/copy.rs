//! Moving from one store to another.

use std::sync::Arc;
use std::time::Duration;

use domain::job::{Admission, JobOutcome};
use domain::key::{ReplayId, WhmcsOrderId};
use domain::order::Fact;
use domain::ports::{CallAction, CallOutcome, CallRecord, Clock, Entry};
use job_store::{CopiedTable, CopyError, Progress, Store, StoreConfig, copy, open};
use operations::{JobStage, PROCESS_ALIVE};
use test_postgres::Database;
use testkit::JobQueueExt;
use testkit::{
    FakeClock, channel, dead_letter, delivery, gap, lead, new_job, order_id, owner, process_report,
};

const TTL: Duration = Duration::from_secs(15);

/// A folder of SQLite files, and the clock of every store.
struct TestEnv {
    folder: tempfile::TempDir,
    clock: Arc<FakeClock>,
}

impl TestEnv {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::default(),
        }
    }

    fn sqlite(&self, name: &str) -> StoreConfig {
        let path = self.folder.path().join(name);
        StoreConfig::parse(&format!("sqlite:{}", path.display())).unwrap()
    }

    async fn open(&self, config: &StoreConfig) -> Store {
        open(config, Arc::clone(&self.clock) as _).await.unwrap()
    }

    async fn copy(
        &self,
        from: &StoreConfig,
        to: &StoreConfig,
    ) -> Result<Vec<CopiedTable>, CopyError> {
        copy(from, to, Arc::clone(&self.clock) as _, &mut |_| {}).await
    }

    /// A store whose processes have stopped; see [`fill`].
    async fn filled(&self, name: &str) -> StoreConfig {
        let config = self.sqlite(name);
        fill(&self.open(&config).await).await;
        self.clock.advance(TTL);
        config
    }
}

/// A store in use: 2,500 events, a dead letter, a gap, an order that is placed and leased, one
/// that is done.
async fn fill(store: &Store) {
    let epoch = lead(&*store.ports, &channel(), "s", TTL).await;
    let mut entries: Vec<_> = (0..2500)
        .map(|n| Entry::Job(new_job(&format!("e{n}"), order_id(n), Some("k"))))
        .collect();
    let mut bad = dead_letter("bad");
    bad.replay_id = ReplayId::new(vec![0, 255]);
    bad.undecodable.detail = "ü".to_owned();
    entries.push(Entry::DeadLetter(bad));
    store
        .ports
        .record_cursor_loss(&channel(), epoch, &gap())
        .await
        .unwrap();
    let delivery = delivery(epoch, entries, 7);
    store.ports.accept(&delivery).await.unwrap();
    let claimed = store.ports.claim(&owner("w"), 2, TTL).await.unwrap();
    let placed = Fact::Placed {
        order: WhmcsOrderId(5),
    };
    let call = CallRecord {
        at: claimed[0].at,
        took: Duration::from_millis(12),
        action: CallAction::AddOrder,
        outcome: CallOutcome::Ok,
    };
    for job in &claimed {
        store
            .ports
            .record(&job.lease, std::slice::from_ref(&placed), &[call])
            .await
            .unwrap();
    }
    let reported = [Fact::Reported];
    store
        .ports
        .finish(&claimed[1].lease, JobOutcome::Succeeded, &reported, &[])
        .await
        .unwrap();
}

/// The copied store goes on where the other stopped.
async fn goes_on(store: &Store) {
    let cursor = store.ports.cursor(&channel()).await.unwrap().unwrap();
    assert_eq!(cursor.replay_id.as_bytes(), [7]);
    let queue_stats = store.ports.queue_stats().await.unwrap();
    assert_eq!(
        (
            queue_stats.count(JobStage::Queued),
            queue_stats.count(JobStage::Leased)
        ),
        (2499, 0)
    );
    assert_eq!(queue_stats.open_dead_letters, 1);
    // The job that was leased is due, the first, and has its facts.
    let claimed = store.ports.claim(&owner("w2"), 1, TTL).await.unwrap();
    assert_eq!(claimed[0].job.order, order_id(0));
    assert_eq!(claimed[0].facts.len(), 1);
    let done = store.ports.facts_of(order_id(1)).await.unwrap();
    assert_eq!(done.len(), 2);
    let calls = store.ports.calls_of(order_id(1)).await.unwrap();
    assert_eq!(calls[0].call.action, CallAction::AddOrder);
    // Old events are known, new ones get numbers of their own.
    let epoch = lead(&*store.ports, &channel(), "s2", TTL).await;
    assert!(epoch.number() > 1, "terms go on counting");
    let entries = ["e0", "new"].map(|event| Entry::Job(new_job(event, order_id(9000), None)));
    let delivery = delivery(epoch, entries.into(), 8);
    assert_eq!(
        store.ports.accept(&delivery).await.unwrap(),
        [Admission::SameDelivery, Admission::Enqueued]
    );
    let fact = [Fact::NotPlaced];
    store
        .ports
        .record(&claimed[0].lease, &fact, &[])
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn store_works_after_copy_to_postgresql_and_back() {
    let env = TestEnv::new();
    let database = Database::create().await;
    let first = env.filled("first.db").await;
    let middle = StoreConfig::parse(&database.url()).unwrap();
    let last = env.sqlite("last.db");
    let there = env.copy(&first, &middle).await.unwrap();
    let rows = |table| {
        there
            .iter()
            .find(|copied| copied.table == table)
            .unwrap()
            .rows
    };
    assert_eq!(
        [
            "job",
            "fact",
            "inbox",
            "dead_letter",
            "gap",
            "stream",
            "orders",
            "outside_call"
        ]
        .map(rows),
        [2500, 3, 2501, 1, 1, 1, 2500, 2]
    );
    let back = env.copy(&middle, &last).await.unwrap();
    assert_eq!(there, back, "the same checksums on the way back");
    goes_on(&env.open(&middle).await).await;
    goes_on(&env.open(&last).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn interrupted_copy_resumes_and_complete_copy_is_unchanged() {
    let env = TestEnv::new();
    let database = Database::create().await;
    let from = env.filled("jobs.db").await;
    let to = StoreConfig::parse(&database.url()).unwrap();
    for (stop_in, stop_at) in [("inbox", 1000), ("job", 2000)] {
        let (from, to, clock) = (from.clone(), to.clone(), Arc::clone(&env.clock));
        let stopped = tokio::spawn(async move {
            let mut until = |progress: Progress| {
                let here = progress.table == stop_in && progress.done == stop_at;
                assert!(!here, "stopped");
            };
            copy(&from, &to, clock as _, &mut until).await
        });
        assert!(stopped.await.unwrap_err().is_panic());
    }
    let mut seen = Vec::new();
    copy(&from, &to, Arc::clone(&env.clock) as _, &mut |progress| {
        seen.push((progress.table, progress.done));
    })
    .await
    .unwrap();
    assert!(seen.contains(&("job", 2000)) && !seen.contains(&("job", 1000)));
    let again = env.copy(&from, &to).await.unwrap();
    assert_eq!(again.len(), 11);
    goes_on(&env.open(&to).await).await;
    assert!(
        matches!(env.copy(&from, &to).await, Err(CopyError::OtherData { .. })),
        "it is in use by now"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_refuses_foreign_target_and_source_in_use() {
    let env = TestEnv::new();
    let (from, to) = (env.sqlite("from.db"), env.sqlite("to.db"));
    assert!(matches!(
        env.copy(&from, &to).await,
        Err(CopyError::NoSource { .. })
    ));
    fill(&env.open(&from).await).await;
    assert!(matches!(
        env.copy(&from, &from).await,
        Err(CopyError::SameStore)
    ));
    assert!(matches!(env.copy(&from, &to).await, Err(CopyError::InUse)));
    env.clock.advance(TTL);
    let other = env.open(&to).await;
    let job = new_job("other", order_id(77), None);
    other.ports.enqueue(&[job]).await.unwrap();
    assert!(matches!(
        env.copy(&from, &to).await,
        Err(CopyError::OtherData { table: "orders" })
    ));
    let facts = other.ports.facts_of(order_id(0)).await.unwrap();
    assert!(facts.is_empty(), "nothing was written");
}

/// A worker between two jobs holds no lease; the store knows it by its reports.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copy_refuses_store_with_registered_idle_process() {
    let env = TestEnv::new();
    let database = Database::create().await;
    let sqlite = env.sqlite("jobs.db");
    let postgres = StoreConfig::parse(&database.url()).unwrap();
    for config in [&sqlite, &postgres] {
        drop(env.open(config).await);
    }
    for (config, other) in [(&sqlite, &postgres), (&postgres, &sqlite)] {
        let store = env.open(config).await;
        let report = process_report("idle", env.clock.now());
        store.ports.report_process(&report).await.unwrap();
        for (from, to) in [(config, other), (other, config)] {
            let refused = env.copy(from, to).await.unwrap_err();
            assert!(
                matches!(refused, CopyError::ProcessAlive { .. }),
                "{refused}"
            );
            let text = refused.to_string();
            assert!(text.contains("worker") && text.contains("host-a"), "{text}");
        }
        store.ports.retire_process(&owner("idle")).await.unwrap();
    }
    env.copy(&sqlite, &postgres).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_process_blocks_copy_only_until_its_heartbeat_expires() {
    let env = TestEnv::new();
    let (from, to) = (env.sqlite("from.db"), env.sqlite("to.db"));
    let store = env.open(&from).await;
    let report = process_report("killed", env.clock.now());
    store.ports.report_process(&report).await.unwrap();
    env.clock.advance(PROCESS_ALIVE - Duration::from_millis(1));
    assert!(matches!(
        env.copy(&from, &to).await,
        Err(CopyError::ProcessAlive { .. })
    ));
    env.clock.advance(Duration::from_millis(1));
    env.copy(&from, &to).await.unwrap();
}
