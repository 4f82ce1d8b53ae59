//! The job store of a world: the one in memory, or a real SQLite file.
//!
//! SQLite has threads of its own and knows no virtual time. So it lives in a runtime of its own
//! in real time, and a call to it is carried out to its end before anything else goes on here:
//! virtual time stands still meanwhile, and a seed stays one schedule.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::{Admission, JobOutcome, Lease, NewJob};
use domain::key::{Channel, Owner};
use domain::order::Fact;
use domain::ports::{
    AdminCommand, CommandResult, CallRecord, Claimed, Clock, Cursor, DeadLetterView, Delivery, Epoch, Gap,
    JobIntake, JobQueue, JobReader, JobView, Leadership, RecordedFact, Release, StoreError, QueueStats,
    Undecodable,
};
use domain::time::Timestamp;
use job_store::StoreConfig;
use testkit::MemoryStore;
use tokio::sync::Notify;

/// Which job store a world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// The one in memory.
    Memory,
    /// A SQLite file, new for each world.
    Sqlite,
}

/// The job store of a world.
pub(crate) struct Store {
    intake: Arc<dyn JobIntake>,
    queue: Arc<dyn JobQueue>,
    reader: Arc<dyn JobReader>,
    file: Option<File>,
}

/// A store in a file, and where it lives.
struct File {
    runtime: tokio::runtime::Runtime,
    /// The world's time, for the store.
    time: Arc<WorldTime>,
    world: Arc<dyn Clock>,
    changed: Notify,
    _folder: tempfile::TempDir,
}

/// The world's time as it was when the present call began.
#[derive(Debug, Default)]
struct WorldTime(AtomicI64);

#[async_trait]
impl Clock for WorldTime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    async fn sleep(&self, _duration: Duration) {
        // A store waits for nothing by the world's time.
    }
}

impl Store {
    pub(crate) fn new(engine: Engine, clock: Arc<dyn Clock>) -> Self {
        match engine {
            Engine::Memory => {
                let store = Arc::new(MemoryStore::new(clock));
                Self {
                    intake: Arc::clone(&store) as _,
                    queue: Arc::clone(&store) as _,
                    reader: store,
                    file: None,
                }
            }
            Engine::Sqlite => Self::in_file(clock),
        }
    }

    fn in_file(world: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().expect("the system has room for a folder");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime needs a thread and nothing else");
        let time = Arc::<WorldTime>::default();
        time.0.store(world.now().as_millis(), Ordering::SeqCst);
        let url = format!("sqlite:{}", folder.path().join("jobs.db").display());
        let config = StoreConfig::parse(&url).expect("the address is well-formed");
        let store = {
            let _inside = runtime.enter();
            let opening = job_store::open(&config, Arc::clone(&time) as _);
            futures::executor::block_on(opening).expect("a new file can be opened")
        };
        Self {
            intake: store.intake,
            queue: store.queue,
            reader: store.reader,
            file: Some(File {
                runtime,
                time,
                world,
                changed: Notify::new(),
                _folder: folder,
            }),
        }
    }

    async fn ask<T>(&self, call: impl Future<Output = T>) -> T {
        let Some(file) = &self.file else {
            return call.await;
        };
        let now = file.world.now().as_millis();
        file.time.0.store(now, Ordering::SeqCst);
        let answer = {
            let _inside = file.runtime.enter();
            futures::executor::block_on(call)
        };
        file.changed.notify_waiters();
        answer
    }

    pub(crate) async fn wait(&self, limit: Duration) {
        match &self.file {
            None => self.queue.wait(limit).await,
            Some(file) => {
                let _ = tokio::time::timeout(limit, file.changed.notified()).await;
            }
        }
    }
}

/// The calls of a world, each carried out as the engine needs it.
macro_rules! calls {
    ($($port:ident: $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl Store {
            $(pub(crate) async fn $name(&self, $($argument: $kind),*) -> Result<$answer, StoreError> {
                self.ask(self.$port.$name($($argument),*)).await
            })*
        }
    };
}

calls! {
    intake: lead(channel: &Channel, owner: &Owner, ttl: Duration) -> Leadership;
    intake: resign(channel: &Channel, owner: &Owner) -> ();
    intake: cursor(channel: &Channel) -> Option<Cursor>;
    intake: accept(delivery: &Delivery) -> Vec<Admission>;
    intake: record_cursor_loss(channel: &Channel, epoch: Epoch, gap: &Gap) -> ();
    intake: enqueue(jobs: &[NewJob]) -> Vec<Admission>;
    intake: requested_redrives(channel: &Channel, limit: usize) -> Vec<DeadLetterView>;
    intake: redrive(channel: &Channel, epoch: Epoch, letter: i64, read: &Result<NewJob, Undecodable>) -> Admission;
    intake: act(act: &AdminCommand, by: &str, reason: &str) -> CommandResult;
    queue: claim(owner: &Owner, limit: usize, ttl: Duration) -> Vec<Claimed>;
    queue: renew(leases: &[Lease], ttl: Duration) -> Vec<Lease>;
    queue: record(lease: &Lease, facts: &[Fact], calls: &[CallRecord]) -> ();
    queue: release(lease: &Lease, release: Release, calls: &[CallRecord]) -> ();
    queue: finish(lease: &Lease, outcome: JobOutcome, facts: &[Fact], calls: &[CallRecord]) -> ();
    reader: queue_stats() -> QueueStats;
    reader: dead_letters(open_only: bool, after: Option<i64>, limit: usize) -> Vec<DeadLetterView>;
    reader: facts_of(order: OrderId) -> Vec<RecordedFact>;
    reader: jobs_of(order: OrderId) -> Vec<JobView>;
}
