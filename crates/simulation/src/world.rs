//! One schedule of a seed, from the first approval to the final verification.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::key::Channel;
use domain::ports::{Clock, EventIntake, JobQueue, LeaderElection};
use testkit::{PausedClock, channel};
use tokio::time::Instant;

use crate::fault_config::{FaultConfig, Notes};
use crate::lifecycle::{Role, spawn};
use crate::mutation::Mutation;
use crate::promise::{Breach, Breaches, Promise};
use crate::rng::Rng;
use crate::state::audited_store::AuditedStore;
use crate::state::bus::Bus;
use crate::state::crm::Crm;
use crate::state::store::Engine;
use crate::state::whmcs::Whmcs;
use crate::trace::{Trace, lock};
use crate::{operator, verify};

/// Quiet period: how long an effect of unknown outcome may still arrive in WHMCS.
pub(crate) const QUIET: Duration = Duration::from_secs(18);
/// Every order must end this long after the faults.
const RECOVERY_LIMIT: Duration = Duration::from_secs(30 * 60);

/// State shared by all simulated processes.
pub(crate) struct World {
    pub(crate) rng: Rng,
    pub(crate) faults: FaultConfig,
    pub(crate) trace: Trace,
    pub(crate) breaches: Arc<Breaches>,
    pub(crate) clock: Arc<PausedClock>,
    pub(crate) channel: Channel,
    pub(crate) bus: Arc<Bus>,
    pub(crate) crm: Crm,
    pub(crate) whmcs: Whmcs,
    pub(crate) store: Arc<AuditedStore>,
    /// The store as processes reach it, possibly mutated.
    pub(crate) election: Arc<dyn LeaderElection>,
    pub(crate) intake: Arc<dyn EventIntake>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) mutation: Mutation,
    started: Instant,
    faults_end: Instant,
    outages: Mutex<Outages>,
}

/// End of the current outage of each system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outages {
    pub(crate) store: Instant,
    pub(crate) crm: Instant,
    pub(crate) whmcs: Instant,
    /// WHMCS denies our credential.
    pub(crate) denied: Instant,
}

/// Result of a schedule.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The seed.
    pub seed: u64,
    /// Broken promises; empty when all were kept.
    pub breaches: Vec<Breach>,
    /// The trace; empty unless requested.
    pub trace: String,
    /// Elapsed virtual time.
    pub lasted: Duration,
}

/// Runs the schedule of a seed. The same seed always gives the same schedule: one thread, virtual
/// time, and no other source of randomness.
///
/// # Panics
/// When the runtime cannot be built.
#[must_use]
pub fn run(seed: u64, mutation: Mutation, traced: bool) -> Schedule {
    run_on(Engine::Memory, seed, mutation, traced)
}

/// As [`run`], on this job store.
///
/// # Panics
/// When the runtime cannot be built, or a file cannot be created.
#[must_use]
pub fn run_on(engine: Engine, seed: u64, mutation: Mutation, traced: bool) -> Schedule {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O can be built");
    runtime.block_on(run_schedule(engine, seed, mutation, traced))
}

async fn run_schedule(engine: Engine, seed: u64, mutation: Mutation, traced: bool) -> Schedule {
    let started = Instant::now();
    let world = Arc::new(World::new(engine, seed, mutation, traced));
    world
        .trace
        .say("world", || format!("seed {seed}: {:?}", world.faults));
    let mut processes = Vec::new();
    for number in 1..=world.faults.subscribers {
        processes.push(spawn(&world, Role::Subscriber, number));
    }
    for number in 1..=world.faults.workers {
        processes.push(spawn(&world, Role::Worker, number));
    }
    let operators = operator::spawn(&world);
    let outages = tokio::spawn(inject_outages(Arc::clone(&world)));
    let last = world.faults_end + RECOVERY_LIMIT;
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        if !world.faults_active() && verify::is_done(&world).await {
            break;
        }
        if Instant::now() > last {
            let open = verify::remaining_work(&world).await;
            world.breaches.record(Promise::EveryOrderEnds, open);
            break;
        }
    }
    verify::verify(&world).await;
    for task in processes.into_iter().chain(operators).chain([outages]) {
        if task.is_finished() && task.await.is_err_and(|error| error.is_panic()) {
            world.breaches.record(Promise::NoPanic, "a task panicked");
        }
    }
    let breaches = world.breaches.all();
    world.trace.say("world", || format!("{breaches:?}"));
    Schedule {
        seed,
        breaches,
        trace: world.trace.take(),
        lasted: started.elapsed(),
    }
}

impl World {
    fn new(engine: Engine, seed: u64, mutation: Mutation, traced: bool) -> Self {
        let rng = Rng::new(seed);
        let faults = FaultConfig::of(&rng);
        let (breaches, bus) = (Arc::default(), Arc::default());
        let clock = Arc::<PausedClock>::default();
        let store = Arc::new(AuditedStore::new(
            engine,
            Arc::clone(&clock) as _,
            Arc::clone(&bus),
            Arc::clone(&breaches),
        ));
        let now = Instant::now();
        let (election, intake) = mutation.intake(&store);
        Self {
            started: now,
            faults_end: now + faults.fault_phase,
            trace: Trace::new(traced),
            breaches,
            clock: Arc::clone(&clock),
            channel: channel(),
            bus,
            crm: Crm::new(Arc::clone(&clock) as _, faults.coarse_versions),
            whmcs: Whmcs::default(),
            election,
            intake,
            queue: mutation.queue(&store),
            store,
            mutation,
            outages: Mutex::new(Outages {
                store: now,
                crm: now,
                whmcs: now,
                denied: now,
            }),
            rng,
            faults,
        }
    }

    /// Whether faults are still injected.
    pub(crate) fn faults_active(&self) -> bool {
        Instant::now() < self.faults_end
    }

    /// Whether a fault with this rate occurs now.
    pub(crate) fn injects(&self, per_mille: u32) -> bool {
        per_mille > 0 && self.faults_active() && self.rng.chance(per_mille)
    }

    /// Whether WHMCS drops the notes of an order placed now.
    pub(crate) fn drops_notes(&self) -> bool {
        match self.faults.notes {
            Notes::Kept => false,
            Notes::Dropped => true,
            Notes::KeptFor(time) => self.started.elapsed() > time,
        }
    }

    /// Waits for the end of the fault phase.
    pub(crate) async fn until_faults_end(&self) {
        tokio::time::sleep_until(self.faults_end).await;
    }

    /// One-way network latency.
    pub(crate) fn latency(&self) -> Duration {
        match self.injects(self.faults.slow) {
            true => self.rng.millis(100, 5_000),
            false => self.rng.millis(1, 30),
        }
    }

    pub(crate) fn is_down(&self, which: impl Fn(&Outages) -> Instant) -> bool {
        self.faults_active() && Instant::now() < which(&lock(&self.outages))
    }

    pub(crate) fn now(&self) -> domain::time::Timestamp {
        self.clock.now()
    }
}

/// Takes whole systems down, denies our credential, and invalidates replay ids.
async fn inject_outages(world: Arc<World>) {
    while world.faults_active() {
        tokio::time::sleep(world.rng.millis(1_000, 8_000)).await;
        if world.injects(world.faults.outage) {
            let until = Instant::now() + world.rng.millis(500, 30_000);
            let mut outages = lock(&world.outages);
            let which = match world.rng.below(4) {
                0 => (&mut outages.store, "the store is down"),
                1 => (&mut outages.crm, "Salesforce is down"),
                2 => (&mut outages.whmcs, "WHMCS is down"),
                _ => (&mut outages.denied, "WHMCS denies access"),
            };
            *which.0 = until;
            world.trace.say("world", || which.1.to_owned());
        }
        if world.injects(world.faults.bus_cursor_loss / 2) {
            let purge = world.rng.chance(300);
            world
                .bus
                .invalidate_replay_ids(purge, |event| world.store.has(event));
            world.trace.say("world", || {
                let events = if purge { " and its events" } else { "" };
                format!("the bus invalidates its replay ids{events}")
            });
        }
    }
}
