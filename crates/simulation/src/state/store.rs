//! The job store of a schedule: in memory, or a real SQLite file.
//!
//! SQLite has its own threads and does not know virtual time. It therefore runs in its own
//! runtime in real time, and each call blocks the simulation until it completes: virtual time
//! does not advance meanwhile, and the schedule stays deterministic.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::Lease;
use domain::key::DeadLetterId;
use domain::ports::{Clock, DeadLetterView};
use domain::time::Timestamp;
use job_store::StoreConfig;
use operations::{AdminCommand, CommandResult, JobStore, JobView, QueueStats, RecordedFact};
use testkit::MemoryStore;
use testkit::StoreResult;
use tokio::sync::Notify;

/// Job store of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// In memory.
    Memory,
    /// A SQLite file, new for each schedule.
    Sqlite,
}

/// The job store of a schedule.
pub(crate) struct Store {
    pub(crate) ports: Arc<dyn JobStore>,
    file: Option<File>,
}

/// A store in a file, with its runtime.
struct File {
    runtime: tokio::runtime::Runtime,
    /// The virtual time as the store sees it.
    time: Arc<WorldTime>,
    world: Arc<dyn Clock>,
    changed: Notify,
    _folder: tempfile::TempDir,
}

/// The virtual time at the start of the current call.
#[derive(Debug, Default)]
struct WorldTime(AtomicI64);

#[async_trait]
impl Clock for WorldTime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::default())
    }

    async fn sleep(&self, _duration: Duration) {
        // The store never sleeps in virtual time.
    }
}

impl Store {
    pub(crate) fn new(engine: Engine, clock: Arc<dyn Clock>) -> Self {
        match engine {
            Engine::Memory => {
                let ports = Arc::new(MemoryStore::new(clock));
                Self { ports, file: None }
            }
            Engine::Sqlite => Self::in_file(clock),
        }
    }

    fn in_file(world: Arc<dyn Clock>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be created");
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime can be built");
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
            ports: store.ports,
            file: Some(File {
                runtime,
                time,
                world,
                changed: Notify::new(),
                _folder: folder,
            }),
        }
    }

    /// Waits for a call of the ports.
    pub(crate) async fn ask<T>(&self, call: impl Future<Output = T>) -> T {
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

    pub(crate) async fn wait_for_work(&self, limit: Duration) {
        match &self.file {
            None => self.ports.wait_for_work(limit).await,
            Some(file) => {
                let _ = tokio::time::timeout(limit, file.changed.notified()).await;
            }
        }
    }
}

/// Calls that no simulated process makes.
macro_rules! calls {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        impl Store {
            $(pub(crate) async fn $name(&self, $($argument: $kind),*) -> StoreResult<$answer> {
                self.ask(self.ports.$name($($argument),*)).await
            })*
        }
    };
}

calls! {
    execute(command: &AdminCommand, by: &str, reason: &str) -> CommandResult;
    renew(leases: &[Lease], ttl: Duration) -> Vec<Lease>;
    queue_stats() -> QueueStats;
    dead_letters(open_only: bool, after: Option<DeadLetterId>, limit: usize) -> Vec<DeadLetterView>;
    facts_of(order: OrderId) -> Vec<RecordedFact>;
    jobs_of(order: OrderId) -> Vec<JobView>;
}
