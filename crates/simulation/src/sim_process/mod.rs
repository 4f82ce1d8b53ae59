//! What one process sees of the world: the ports, with everything that can go wrong on the
//! way there and back.

mod bus;
mod crm;
mod store;
mod whmcs;

pub(crate) use whmcs::TIMEOUT;

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{CallError, Clock, Entropy, JobIntake, JobQueue, Provisioner};
use domain::time::Timestamp;
use tokio::sync::Notify;

use crate::world::World;

/// Whether a process is stopped in its tracks. Not a `watch` channel: that one wakes those who
/// wait in an order drawn by lot.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    paused: AtomicBool,
    goes_on: Notify,
}

impl Pause {
    pub(crate) fn set(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
        if !paused {
            self.goes_on.notify_waiters();
        }
    }
}

/// A started process: a new one after every crash.
pub(crate) struct Seat {
    pub(crate) world: Arc<World>,
    /// `worker-1.3`: the third start of the first worker.
    pub(crate) name: String,
    /// How far its machine's clock is off, in milliseconds.
    skew: i64,
    pause: Arc<Pause>,
    tokens: AtomicU64,
}

impl Seat {
    pub(crate) fn new(world: &Arc<World>, name: String, skew: i64, pause: Arc<Pause>) -> Arc<Self> {
        Arc::new(Self {
            world: Arc::clone(world),
            name,
            skew,
            pause,
            tokens: AtomicU64::new(0),
        })
    }

    pub(crate) fn intake_ports(self: &Arc<Self>) -> intake::Ports {
        let store = Arc::clone(self) as Arc<dyn JobIntake>;
        intake::Ports {
            source: Arc::new(bus::Line(Arc::clone(self))),
            store,
            clock: Arc::clone(self) as _,
            entropy: Arc::clone(self) as _,
        }
    }

    pub(crate) fn sweep_ports(self: &Arc<Self>) -> intake::SweepPorts {
        intake::SweepPorts {
            crm: Arc::clone(self) as _,
            store: Arc::clone(self) as _,
            clock: Arc::clone(self) as _,
        }
    }

    pub(crate) fn worker_ports(self: &Arc<Self>) -> provisioning::Ports {
        let sabotage = self.world.sabotage;
        let provisioner = Arc::clone(self) as Arc<dyn Provisioner>;
        provisioning::Ports {
            queue: sabotage.worker_queue(Arc::clone(self) as Arc<dyn JobQueue>),
            crm: sabotage.crm(Arc::clone(self) as _, &self.world),
            provisioner: sabotage.provisioner(provisioner, &self.world),
            clock: Arc::clone(self) as _,
            entropy: Arc::clone(self) as _,
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        self.world.trace.say(&self.name, what);
    }

    fn strikes(&self, per_mille: u32) -> bool {
        self.world.strikes(per_mille)
    }

    /// Returns while the process runs: not at all as long as it is stopped.
    async fn here(&self) {
        loop {
            let goes_on = self.pause.goes_on.notified();
            if !self.pause.paused.load(Ordering::Relaxed) {
                return;
            }
            goes_on.await;
        }
    }

    /// Time on the wire.
    async fn travel(&self) {
        let time = self.world.latency();
        tokio::time::sleep(time).await;
    }
}

/// A fault, as far as an adapter could tell.
fn not_sent() -> CallError {
    CallError::NotSent {
        retry_after: None,
        source: cause("connection refused"),
    }
}

fn unknown() -> CallError {
    CallError::Unknown {
        source: cause("the reply was lost"),
    }
}

fn cause(text: &str) -> Box<dyn Error + Send + Sync> {
    text.into()
}

#[async_trait]
impl Clock for Seat {
    fn now(&self) -> Timestamp {
        let now = self.world.clock.now();
        Timestamp::from_millis(now.as_millis() + self.skew)
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
        self.here().await;
    }
}

impl Entropy for Seat {
    fn token(&self) -> String {
        match self.tokens.fetch_add(1, Ordering::Relaxed) {
            0 => self.name.clone(),
            count => format!("{}-{count}", self.name),
        }
    }

    fn fraction(&self) -> f64 {
        f64::from(u16::try_from(self.world.dice.below(1000)).unwrap_or(0)) / 1000.0
    }
}
