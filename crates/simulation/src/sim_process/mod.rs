//! A simulated process: its ports, with faults on the way there and back.

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
use domain::ports::{CallError, Clock, Entropy};
use domain::time::Timestamp;
use testkit::intercept::intercept;
use tokio::sync::Notify;

use crate::world::World;

/// Whether a process is paused. Not a `watch` channel, which wakes its waiters in random order.
#[derive(Debug, Default)]
pub(crate) struct Pause {
    paused: AtomicBool,
    resumed: Notify,
}

impl Pause {
    pub(crate) fn set(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
        if !paused {
            self.resumed.notify_waiters();
        }
    }
}

/// A started process; a restart creates a new one.
pub(crate) struct SimProcess {
    pub(crate) world: Arc<World>,
    /// `worker-1.3` is the third start of the first worker.
    pub(crate) name: String,
    /// Clock skew of its machine, in milliseconds.
    skew: i64,
    pause: Arc<Pause>,
    tokens: AtomicU64,
}

impl SimProcess {
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
        intake::Ports {
            source: Arc::new(bus::BusClient(Arc::clone(self))),
            election: intercept(Arc::clone(self)),
            store: intercept(Arc::clone(self)),
            clock: Arc::clone(self) as _,
            entropy: Arc::clone(self) as _,
        }
    }

    pub(crate) fn sweep_ports(self: &Arc<Self>) -> intake::SweepPorts {
        intake::SweepPorts {
            crm: Arc::clone(self) as _,
            store: intercept(Arc::clone(self)),
            clock: Arc::clone(self) as _,
        }
    }

    pub(crate) fn worker_ports(self: &Arc<Self>) -> provisioning::Ports {
        let mutation = self.world.mutation;
        provisioning::Ports {
            queue: mutation.worker_queue(intercept(Arc::clone(self))),
            crm: mutation.crm(Arc::clone(self) as _, &self.world),
            reads: mutation.reads(Arc::clone(self) as _, &self.world),
            provisioner: Arc::clone(self) as _,
            clock: Arc::clone(self) as _,
            entropy: Arc::clone(self) as _,
        }
    }

    fn say(&self, what: impl FnOnce() -> String) {
        self.world.trace.say(&self.name, what);
    }

    fn injects(&self, per_mille: u32) -> bool {
        self.world.injects(per_mille)
    }

    /// Waits while the process is paused.
    async fn until_resumed(&self) {
        loop {
            let resumed = self.pause.resumed.notified();
            if !self.pause.paused.load(Ordering::Relaxed) {
                return;
            }
            resumed.await;
        }
    }

    /// Waits for the network latency.
    async fn network_delay(&self) {
        let time = self.world.latency();
        tokio::time::sleep(time).await;
    }
}

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
impl Clock for SimProcess {
    fn now(&self) -> Timestamp {
        let now = self.world.clock.now();
        Timestamp::from_millis(now.as_millis() + self.skew)
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::default())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
        self.until_resumed().await;
    }
}

impl Entropy for SimProcess {
    fn token(&self) -> String {
        match self.tokens.fetch_add(1, Ordering::Relaxed) {
            0 => self.name.clone(),
            count => format!("{}-{count}", self.name),
        }
    }

    fn fraction(&self) -> f64 {
        f64::from(u16::try_from(self.world.rng.below(1000)).unwrap_or(0)) / 1000.0
    }
}
