//! Test environment: a subscriber between a scripted bus and a store that can be unavailable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::job::Admission;
use domain::key::{Channel, Owner};
use domain::ports::{
    Clock, Delivery, Entropy, Epoch, EventIntake, Gap, LeaderElection, Start, StoreError,
    StreamError,
};
use intake::{Health, Intake, OnLoss, Ports, Settings};
use operations::{EventViews, OrderViews};
use testkit::StoreResult;
use testkit::intercept::{Around, EventIntakeHooks, LeaderElectionHooks, intercept};
use testkit::{FakeSource, MemoryStore, PausedClock, channel, order_id};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) const LEASE: Duration = Duration::from_secs(10);

pub(crate) struct TestEnv {
    pub(crate) source: Arc<FakeSource>,
    pub(crate) store: Arc<Store>,
    pub(crate) start: Start,
    pub(crate) on_loss: OnLoss,
    clock: Arc<PausedClock>,
    entropy: Arc<SequentialNames>,
}

/// A running subscriber.
pub(crate) struct Running {
    pub(crate) health: Arc<Health>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl TestEnv {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(PausedClock::default());
        Self {
            source: Arc::default(),
            store: Arc::new(Store {
                inner: Arc::new(MemoryStore::new(Arc::clone(&clock) as _)),
                away: AtomicBool::new(false),
                slow_to_lead: AtomicBool::new(false),
                failing_loss_records: AtomicU64::new(0),
                accepted: AtomicU64::new(0),
            }),
            start: Start::Latest,
            on_loss: OnLoss::All,
            clock,
            entropy: Arc::default(),
        }
    }

    pub(crate) fn intake(&self) -> Intake {
        let ports = Ports {
            source: Arc::clone(&self.source) as _,
            election: intercept(Arc::clone(&self.store)),
            store: intercept(Arc::clone(&self.store)),
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::clone(&self.entropy) as _,
        };
        let settings = Settings {
            channel: channel(),
            start: self.start.clone(),
            on_loss: self.on_loss,
            lease: LEASE,
        };
        Intake::new(ports, settings)
    }

    pub(crate) fn subscribe(&self) -> Running {
        let intake = self.intake();
        let shutdown = CancellationToken::new();
        let (health, until) = (intake.health(), shutdown.clone());
        Running {
            health,
            shutdown,
            task: tokio::spawn(async move { intake.run(until).await }),
        }
    }

    /// The stored cursor, as the number of its event.
    pub(crate) async fn position(&self) -> Option<u8> {
        let cursor = self.store.inner.cursor(&channel()).await.unwrap()?;
        cursor.replay_id.as_bytes().first().copied()
    }

    /// Whether order `n` has a job.
    pub(crate) async fn has_job(&self, n: u32) -> bool {
        !self
            .store
            .inner
            .jobs_of(order_id(n))
            .await
            .unwrap()
            .is_empty()
    }

    /// The leader and its term.
    pub(crate) async fn leader(&self) -> Option<(Owner, Epoch)> {
        let stream = self.store.inner.stream(&channel()).await.unwrap();
        stream.leader.map(|(owner, epoch, _)| (owner, epoch))
    }
}

impl TestEnv {
    /// Whether the leader's lease is still valid.
    pub(crate) async fn is_led(&self) -> bool {
        let stream = self.store.inner.stream(&channel()).await.unwrap();
        stream
            .leader
            .is_some_and(|(_, _, until)| until > self.clock.now())
    }
}

/// Advances virtual time.
pub(crate) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

pub(crate) fn broken() -> StreamError {
    StreamError::Disconnected {
        detail: "connection reset".to_owned(),
        source: None,
    }
}

pub(crate) fn lost() -> StreamError {
    StreamError::CursorLost {
        detail: "older than 72 hours".to_owned(),
    }
}

/// A different token for each process, and no jitter.
#[derive(Default)]
struct SequentialNames(AtomicU64);

impl Entropy for SequentialNames {
    fn token(&self) -> String {
        self.0.fetch_add(1, Ordering::SeqCst).to_string()
    }

    fn fraction(&self) -> f64 {
        1.0
    }
}

/// A store that can be unavailable, or slow to grant leadership.
pub(crate) struct Store {
    pub(crate) inner: Arc<MemoryStore>,
    pub(crate) away: AtomicBool,
    pub(crate) slow_to_lead: AtomicBool,
    /// Number of cursor losses that fail to be recorded.
    pub(crate) failing_loss_records: AtomicU64,
    pub(crate) accepted: AtomicU64,
}

impl Store {
    pub(crate) fn set_unavailable(&self, away: bool) {
        self.away.store(away, Ordering::SeqCst);
    }
}

testkit::inner!(Store: LeaderElection = inner, EventIntake = inner);

#[async_trait]
impl Around<StoreError> for Store {
    async fn around<T: Send>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> StoreResult<T> {
        if call == "store.lead" && self.slow_to_lead.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        match self.away.load(Ordering::SeqCst) {
            true => Err(StoreError::Unavailable("away".into())),
            false => answer.await,
        }
    }
}

impl LeaderElectionHooks for Store {}

#[async_trait]
impl EventIntakeHooks for Store {
    async fn accept(&self, delivery: &Delivery) -> StoreResult<Vec<Admission>> {
        // The duration of a flush, so that something can happen in between.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let accepting = self.inner.accept(delivery);
        let admissions = self.around("store.accept", accepting).await?;
        self.accepted.fetch_add(1, Ordering::SeqCst);
        Ok(admissions)
    }

    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> StoreResult<()> {
        let left = self.failing_loss_records.load(Ordering::SeqCst);
        if left > 0 {
            self.failing_loss_records.store(left - 1, Ordering::SeqCst);
            return Err(StoreError::Unavailable("away".into()));
        }
        let recording = self.inner.record_cursor_loss(channel, epoch, gap);
        self.around("store.record_cursor_loss", recording).await
    }
}
