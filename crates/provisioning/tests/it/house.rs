//! A house of fakes, and ways to let time pass in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::failure::Code;
use domain::job::{Ending, Lease};
use domain::key::Owner;
use domain::order::{Fact, MarkerCheck, Outcome};
use domain::ports::{
    CallRecord, Claimed, Clock, JobIntake, JobQueue, JobReader, Provisioner, Release, StoreError,
};
use domain::time::Timestamp;
use provisioning::{End, Hold, Lane, Ports, Settings, execute};
use testkit::{
    FakeClock, FakeCrm, FakeEntropy, FakeProvisioner, MemoryStore, details, new_job, order_id,
    owner,
};
use tokio_util::sync::CancellationToken;

pub(crate) struct House {
    pub(crate) crm: Arc<FakeCrm>,
    pub(crate) whmcs: Arc<FakeProvisioner>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) settings: Settings,
    /// How far the worker's wall clock is ahead of the store's.
    pub(crate) ahead: Duration,
    store: Arc<MemoryStore>,
    lane: Lane,
}

impl House {
    pub(crate) async fn new() -> Self {
        let clock = Arc::new(FakeClock::default());
        Self {
            crm: Arc::default(),
            whmcs: Arc::default(),
            store: Arc::new(MemoryStore::new(Arc::clone(&clock) as _)),
            clock,
            ahead: Duration::ZERO,
            // The fake clock jumps while a job sleeps, and nobody renews its lease here.
            settings: Settings {
                lease: Duration::from_secs(3600),
                ..Settings::default()
            },
            lane: Lane::default(),
        }
    }

    /// An approved order whose event has arrived.
    pub(crate) async fn with_order() -> Self {
        let house = Self::new().await;
        house.crm.put(details(order_id(1)));
        house.request("e1").await;
        house
    }

    pub(crate) async fn request(&self, event: &str) {
        let job = new_job(event, order_id(1), Some(event));
        self.store.enqueue(&[job]).await.unwrap();
    }

    pub(crate) async fn retry(&self, event: &str) {
        self.crm.retry(order_id(1), event);
        self.request(event).await;
    }

    fn ports(&self, queue: Arc<dyn JobQueue>) -> Ports {
        Ports {
            queue,
            crm: Arc::clone(&self.crm) as _,
            provisioner: Arc::clone(&self.whmcs) as _,
            clock: Arc::new(WrongClock {
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

    async fn execute(&self, claimed: Claimed, queue: Arc<dyn JobQueue>) -> Result<End, StoreError> {
        let hold = Hold::new(
            claimed.lease.clone(),
            self.clock.monotonic() + self.settings.lease,
        );
        let draining = CancellationToken::new();
        execute(
            &self.ports(queue),
            &self.settings,
            &self.lane,
            claimed,
            &hold,
            &draining,
        )
        .await
    }

    /// Works on what is due, once, and lets a second pass.
    pub(crate) async fn round(&self) -> Vec<End> {
        let mut ends = Vec::new();
        for claimed in self.claim().await {
            ends.push(
                self.execute(claimed, Arc::clone(&self.store) as _)
                    .await
                    .unwrap(),
            );
        }
        self.clock.advance(Duration::from_secs(1));
        // As the worker does beside its jobs.
        if self.lane.paused().is_some() && self.whmcs.probe().await.is_ok() {
            self.lane.open();
        }
        ends
    }

    /// Works until every job is over.
    pub(crate) async fn work(&self) -> Vec<End> {
        let mut ends = Vec::new();
        for _ in 0..10_000 {
            ends.extend(self.round().await);
            let tally = self.store.tally().await.unwrap();
            if tally.count("queued") + tally.count("leased") == 0 {
                return ends;
            }
        }
        panic!("the jobs never end: {ends:?}");
    }

    /// Works until the `nth` write to the store, which fails, as does all that follows: the
    /// process is gone. Says whether it came to that.
    pub(crate) async fn crash_at_write(&self, nth: i64) -> bool {
        let queue = Arc::new(Dying {
            store: Arc::clone(&self.store),
            left: AtomicI64::new(nth),
        });
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

    /// Whether the store holds a proof that marks survive on this install.
    pub(crate) async fn marks_are_proven(&self) -> bool {
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

    /// The last write to the order is this failure, with or without a WHMCS order.
    pub(crate) fn assert_failed(&self, code: Code, with_order: bool) {
        match self.crm.outcomes(order_id(1)).last() {
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

/// A clock whose date is wrong and whose seconds are right.
struct WrongClock {
    right: Arc<FakeClock>,
    ahead: Duration,
}

#[async_trait]
impl Clock for WrongClock {
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

/// A store whose process dies at one of its writes.
struct Dying {
    store: Arc<MemoryStore>,
    left: AtomicI64,
}

impl Dying {
    fn alive(&self) -> Result<(), StoreError> {
        match self.left.fetch_sub(1, Ordering::SeqCst) {
            ..=1 => Err(StoreError::Unavailable("the process died".into())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl JobQueue for Dying {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.store.claim(owner, limit, ttl).await
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        self.store.renew(leases, ttl).await
    }

    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.alive()?;
        self.store.record(lease, facts, calls).await
    }

    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.alive()?;
        self.store.release(lease, release, calls).await
    }

    async fn finish(
        &self,
        lease: &Lease,
        ending: Ending,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.alive()?;
        self.store.finish(lease, ending, facts, calls).await
    }

    async fn wait(&self, limit: Duration) {
        self.store.wait(limit).await;
    }
}
