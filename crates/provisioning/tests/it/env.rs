//! Test environment of fakes with a manual clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use domain::failure::Code;
use domain::job::Lease;
use domain::key::{ClientId, WhmcsOrderId};
use domain::order::{Fact, MarkerCheck, OrderDetails, Outcome, WhmcsOrder};
use domain::ports::mocks::MockProvisioner;
use domain::ports::{
    CallError, Claimed, Clock, EventIntake, JobQueue, JobUpdate, OrderDetail, Provisioner,
    ProvisionerReads, StoreError,
};
use domain::time::Timestamp;
use operations::{JobStage, OrderViews, Statistics, Wait};
use provisioning::{AttemptResult, LeaseGuard, Ports, ProcessState, Settings, execute};
use testkit::intercept::{Around, JobQueueHooks, ProvisionerReadsHooks, intercept};
use testkit::{CallResult, StoreResult};
use testkit::{
    FakeClock, FakeCrm, FakeEntropy, FakeProvisioner, MemoryStore, details, new_job, order_id,
    owner,
};
use tokio_util::sync::CancellationToken;

pub(crate) struct TestEnv {
    pub(crate) crm: Arc<FakeCrm>,
    pub(crate) whmcs: Arc<FakeProvisioner>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) settings: Settings,
    /// How far the worker's wall clock is ahead of the store's.
    pub(crate) ahead: Duration,
    store: Arc<MemoryStore>,
    pub(crate) process: Arc<ProcessState>,
    /// Duration of a WHMCS read that times out.
    hangs: Arc<Mutex<Option<Duration>>>,
    /// Number of searches that are not sent.
    lost_searches: Arc<AtomicI64>,
    effects: Arc<dyn Provisioner>,
}

impl TestEnv {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        let whmcs = Arc::<FakeProvisioner>::default();
        Self {
            crm: Arc::default(),
            effects: Arc::clone(&whmcs) as _,
            whmcs,
            store: Arc::new(MemoryStore::new(Arc::clone(&clock) as _)),
            clock,
            ahead: Duration::ZERO,
            // The fake clock jumps while a job sleeps, and leases are not renewed here.
            settings: Settings {
                lease: Duration::from_secs(3600),
                ..Settings::default()
            },
            process: Arc::default(),
            hangs: Arc::default(),
            lost_searches: Arc::default(),
        }
    }

    /// An approved order with an enqueued job.
    pub(crate) async fn with_order() -> Self {
        Self::with(details(order_id(1))).await
    }

    /// Order 1 as given, with an enqueued job.
    pub(crate) async fn with(order: OrderDetails) -> Self {
        let env = Self::new().await;
        env.crm.put(order);
        env.request("e1").await;
        env
    }

    /// From now on, a call of WHMCS that has an effect fails the test.
    pub(crate) fn forbid_effects(&mut self) {
        self.effects = Arc::new(MockProvisioner::new());
    }

    pub(crate) fn allow_effects(&mut self) {
        self.effects = Arc::clone(&self.whmcs) as _;
    }

    pub(crate) async fn request(&self, event: &str) {
        self.request_of(1, event).await;
    }

    async fn request_of(&self, number: u32, event: &str) {
        let job = new_job(event, order_id(number), Some(event));
        self.store.enqueue(&[job]).await.unwrap();
    }

    /// Another approved order of the same client, for the same products.
    pub(crate) async fn order(&self, number: u32) {
        self.crm.put(details(order_id(number)));
        self.retry_of(number, &format!("order-{number}")).await;
    }

    pub(crate) async fn retry(&self, event: &str) {
        self.retry_of(1, event).await;
    }

    pub(crate) async fn retry_of(&self, number: u32, event: &str) {
        self.crm.retry(order_id(number), event);
        self.request_of(number, event).await;
    }

    /// The names of the facts of order 1, oldest first.
    pub(crate) async fn facts(&self) -> Vec<&'static str> {
        let facts = self.store.facts_of(order_id(1)).await.unwrap();
        facts.iter().map(|recorded| recorded.fact.name()).collect()
    }

    fn ports(&self, queue: Arc<dyn JobQueue>) -> Ports {
        Ports {
            queue,
            crm: Arc::clone(&self.crm) as _,
            reads: intercept(Arc::new(Hanging {
                inner: Arc::clone(&self.whmcs),
                clock: Arc::clone(&self.clock),
                hangs: Arc::clone(&self.hangs),
                lost_searches: Arc::clone(&self.lost_searches),
            })),
            provisioner: Arc::clone(&self.effects),
            clock: Arc::new(SkewedClock {
                right: Arc::clone(&self.clock),
                ahead: self.ahead,
            }),
            entropy: Arc::new(FakeEntropy::default()),
        }
    }

    async fn claim(&self) -> Vec<Claimed> {
        self.store
            .claim(&owner("worker"), 10, self.settings.lease)
            .await
            .unwrap()
    }

    pub(crate) fn store(&self) -> Arc<MemoryStore> {
        Arc::clone(&self.store)
    }

    /// Makes reads of WHMCS time out after `time`; `None` stops it.
    pub(crate) fn whmcs_hangs(&self, time: Option<Duration>) {
        *self.hangs.lock().unwrap() = time;
    }

    /// Makes the next searches for orders fail before they are sent.
    pub(crate) fn lose_searches(&self, n_searches: i64) {
        self.lost_searches.store(n_searches, Ordering::SeqCst);
    }

    async fn execute(
        &self,
        claimed: Claimed,
        queue: Arc<dyn JobQueue>,
    ) -> StoreResult<AttemptResult> {
        let until = self.clock.monotonic() + self.settings.lease;
        self.execute_until(claimed, queue, until).await
    }

    async fn execute_until(
        &self,
        claimed: Claimed,
        queue: Arc<dyn JobQueue>,
        until: Duration,
    ) -> StoreResult<AttemptResult> {
        let guard = LeaseGuard::new(claimed.lease.clone(), until);
        let draining = CancellationToken::new();
        execute(
            &self.ports(queue),
            &self.settings,
            &self.process,
            claimed,
            &guard,
            &draining,
        )
        .await
    }

    /// Claims the one due job and replaces its facts.
    pub(crate) async fn claim_with_facts(&self, facts: &[Fact]) -> Claimed {
        let mut claimed = self.claim().await.pop().unwrap();
        claimed.facts = facts.to_vec();
        claimed
    }

    /// Runs one attempt of a claimed job.
    pub(crate) async fn execute_here(&self, claimed: Claimed) -> AttemptResult {
        let result = self.execute(claimed, Arc::clone(&self.store) as _).await;
        result.unwrap()
    }

    /// Runs one attempt of each due job.
    pub(crate) async fn attempt_once(&self) -> Vec<AttemptResult> {
        let mut results = Vec::new();
        for claimed in self.claim().await {
            let result = self.execute(claimed, Arc::clone(&self.store) as _).await;
            results.push(result.unwrap());
        }
        results
    }

    /// Like [`work`](Self::work), with the first attempts through `queue`.
    pub(crate) async fn work_through(&self, queue: Arc<dyn JobQueue>) -> Vec<AttemptResult> {
        let mut results = Vec::new();
        for claimed in self.claim().await {
            results.push(self.execute(claimed, Arc::clone(&queue)).await.unwrap());
        }
        results.extend(self.work().await);
        results
    }

    /// Runs the due jobs through `queue`, which reports a lost lease.
    pub(crate) async fn lose_lease_through(&self, queue: Arc<dyn JobQueue>) {
        for claimed in self.claim().await {
            let result = self.execute(claimed, Arc::clone(&queue)).await;
            assert!(matches!(result, Err(StoreError::LeaseLost)), "{result:?}");
        }
        self.clock.advance(self.settings.lease);
    }

    /// Runs the due jobs with leases that have expired by the process's own clock.
    pub(crate) async fn work_with_expired_lease(&self, queue: Arc<dyn JobQueue>) {
        for claimed in self.claim().await {
            let result = self
                .execute_until(claimed, Arc::clone(&queue), Duration::ZERO)
                .await;
            assert!(matches!(result, Ok(AttemptResult::Released)), "{result:?}");
        }
    }

    /// Runs until every job is finished, without probes.
    pub(crate) async fn work_without_probes(&self) -> Vec<AttemptResult> {
        let mut results = Vec::new();
        for _ in 0..1_000 {
            results.extend(self.attempt_once().await);
            self.clock.advance(Duration::from_secs(1));
            let queue_stats = self.store.queue_stats().await.unwrap();
            if queue_stats.count(JobStage::Queued) + queue_stats.count(JobStage::Leased) == 0 {
                break;
            }
        }
        results
    }

    /// Runs one attempt of each due job, then advances the clock by a second.
    pub(crate) async fn round(&self) -> Vec<AttemptResult> {
        let results = self.attempt_once().await;
        self.clock.advance(Duration::from_secs(1));
        // The worker probes like this.
        if self.process.whmcs.opened().is_some() && self.whmcs.probe().await.is_ok() {
            self.process.whmcs.succeeded();
        }
        results
    }

    /// Runs until every job is finished.
    pub(crate) async fn work(&self) -> Vec<AttemptResult> {
        let mut results = Vec::new();
        for _ in 0..10_000 {
            results.extend(self.round().await);
            let queue_stats = self.store.queue_stats().await.unwrap();
            if queue_stats.count(JobStage::Queued) + queue_stats.count(JobStage::Leased) == 0 {
                return results;
            }
        }
        panic!("the jobs never finish: {results:?}");
    }

    /// Crashes the process at the `nth` write to the store: it and all later writes fail. Returns
    /// whether the crash happened.
    pub(crate) async fn crash_at_write(&self, nth: i64) -> bool {
        self.crash_at_slow_write(nth, Duration::ZERO).await
    }

    /// Like [`crash_at_write`](Self::crash_at_write), with a store that takes `commit` for each
    /// write.
    pub(crate) async fn crash_at_slow_write(&self, nth: i64, commit: Duration) -> bool {
        self.attempt_with(nth, commit, Crash::Worker).await
    }

    /// Crashes the database's server after the `nth` write: it forgets what it did not flush, and the
    /// worker goes on. Returns whether the attempt was aborted.
    pub(crate) async fn crash_server_after_write(&self, nth: i64) -> bool {
        self.attempt_with(nth, Duration::ZERO, Crash::Server).await
    }

    async fn attempt_with(&self, nth: i64, commit: Duration, crash: Crash) -> bool {
        let queue = intercept(Arc::new(CrashingStore {
            store: Arc::clone(&self.store),
            left: AtomicI64::new(nth),
            clock: Arc::clone(&self.clock),
            commit,
            crash,
        }));
        let mut crashed = false;
        for claimed in self.claim().await {
            crashed |= self
                .execute(claimed, Arc::clone(&queue) as _)
                .await
                .is_err();
        }
        self.clock.advance(self.settings.lease);
        crashed
    }

    /// The wait of order 1.
    pub(crate) async fn wait(&self) -> Option<Wait> {
        let jobs = self.store.jobs_of(order_id(1)).await.unwrap();
        let facts = self.store.facts_of(order_id(1)).await.unwrap();
        Wait::of(&jobs, &facts)
    }

    pub(crate) async fn refusal(&self) -> Option<Code> {
        let facts = self.store.facts_of(order_id(1)).await.unwrap();
        facts
            .iter()
            .rev()
            .find_map(|recorded| match &recorded.fact {
                Fact::Refused(refusal) => Some(refusal.code),
                _ => None,
            })
    }

    /// Whether the facts prove that WHMCS keeps markers.
    pub(crate) async fn markers_are_proven(&self) -> bool {
        let facts = self.store.facts_of(order_id(1)).await.unwrap();
        let proof = |fact: &Fact| {
            matches!(
                fact,
                Fact::Verified {
                    marker: MarkerCheck::Kept,
                    ..
                }
            )
        };
        facts.iter().any(|recorded| proof(&recorded.fact))
    }

    /// Asserts that the last report is this failure, with or without a WHMCS order.
    pub(crate) fn assert_failed(&self, code: Code, with_order: bool) {
        self.assert_order_failed(1, code, with_order);
    }

    pub(crate) fn assert_order_failed(&self, number: u32, code: Code, with_order: bool) {
        match self.crm.outcomes(order_id(number)).last() {
            Some(Outcome::Failed { refusal, order }) => {
                assert_eq!(
                    (refusal.code, order.is_some()),
                    (code, with_order),
                    "{refusal:?}"
                );
            }
            other => panic!("{code} expected, found {other:?}"),
        }
    }
}

/// A provisioner whose reads may hang or fail.
struct Hanging {
    inner: Arc<FakeProvisioner>,
    clock: Arc<FakeClock>,
    hangs: Arc<Mutex<Option<Duration>>>,
    lost_searches: Arc<AtomicI64>,
}

testkit::inner!(Hanging: ProvisionerReads = inner);

#[async_trait]
impl Around<CallError> for Hanging {
    async fn around<T: Send>(
        &self,
        _call: &'static str,
        answer: impl Future<Output = Result<T, CallError>> + Send,
    ) -> CallResult<T> {
        let Some(time) = *self.hangs.lock().unwrap() else {
            return answer.await;
        };
        // Calls that are made side by side also hang side by side.
        let until = self.clock.now() + time;
        tokio::task::yield_now().await;
        self.clock.advance(until.since(self.clock.now()));
        Err(CallError::Unknown {
            source: "no answer in time".into(),
        })
    }
}

#[async_trait]
impl ProvisionerReadsHooks for Hanging {
    async fn orders(
        &self,
        client: ClientId,
        above: Option<WhmcsOrderId>,
        detail: OrderDetail,
    ) -> CallResult<Vec<WhmcsOrder>> {
        if self.lost_searches.fetch_sub(1, Ordering::SeqCst) > 0 {
            return Err(CallError::NotSent {
                retry_after: None,
                source: "connection refused".into(),
            });
        }
        let search = self.inner.orders(client, above, detail);
        self.around("whmcs.orders", search).await
    }
}

/// A clock with a skewed wall time and a correct monotonic time.
struct SkewedClock {
    right: Arc<FakeClock>,
    ahead: Duration,
}

#[async_trait]
impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        self.right.now() + self.ahead
    }

    fn monotonic(&self) -> Duration {
        self.right.monotonic()
    }

    async fn sleep(&self, duration: Duration) {
        self.right.sleep(duration).await;
    }
}

/// What crashes at a write.
#[derive(Clone, Copy, PartialEq)]
enum Crash {
    /// The worker, before the write.
    Worker,
    /// The database's server, after it.
    Server,
}

/// A store at one of whose writes something crashes.
struct CrashingStore {
    store: Arc<MemoryStore>,
    left: AtomicI64,
    clock: Arc<FakeClock>,
    commit: Duration,
    crash: Crash,
}

testkit::inner!(CrashingStore: JobQueue = store);

impl Around<StoreError> for CrashingStore {}

#[async_trait]
impl JobQueueHooks for CrashingStore {
    async fn update(&self, lease: &Lease, update: &JobUpdate) -> StoreResult<()> {
        self.clock.advance(self.commit);
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if self.crash == Crash::Worker && left <= 1 {
            // Any error that aborts the attempt at once works.
            return Err(StoreError::LeaseLost);
        }
        let updated = self.store.update(lease, update).await;
        if self.crash == Crash::Server && left == 1 {
            self.store.forget_unflushed();
        }
        updated
    }
}
