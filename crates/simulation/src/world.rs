//! One schedule: the world of a seed from its first approval to its settled books.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::key::Channel;
use domain::ports::{Clock, JobIntake, JobQueue};
use testkit::{PausedClock, channel};
use tokio::time::Instant;

use crate::books::bus::Bus;
use crate::books::crm::Crm;
use crate::books::ledger::Ledger;
use crate::books::store::Engine;
use crate::books::whmcs::Whmcs;
use crate::climate::{Climate, Notes};
use crate::dice::Dice;
use crate::judge::{Breach, Judge, Promise};
use crate::process::{Role, live};
use crate::sabotage::Sabotage;
use crate::trace::{Trace, lock};
use crate::{end, people};

/// How long an unknown effect in WHMCS may still be at work.
pub(crate) const QUIET: Duration = Duration::from_secs(18);
/// So long after the trouble every order must have ended.
const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// Everything there is, shared by all that live in it.
pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) climate: Climate,
    pub(crate) trace: Trace,
    pub(crate) judge: Arc<Judge>,
    pub(crate) clock: Arc<PausedClock>,
    pub(crate) channel: Channel,
    pub(crate) bus: Arc<Bus>,
    pub(crate) crm: Crm,
    pub(crate) whmcs: Whmcs,
    pub(crate) ledger: Arc<Ledger>,
    /// The store as processes reach it: the ledger, or what a sabotage made of it.
    pub(crate) intake: Arc<dyn JobIntake>,
    pub(crate) queue: Arc<dyn JobQueue>,
    pub(crate) sabotage: Sabotage,
    begun: Instant,
    calm_at: Instant,
    outages: Mutex<Outages>,
}

/// Until when a whole system is away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outages {
    pub(crate) store: Instant,
    pub(crate) crm: Instant,
    pub(crate) whmcs: Instant,
    /// WHMCS refuses us as such.
    pub(crate) denied: Instant,
}

/// How a schedule went.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// The seed that made it.
    pub seed: u64,
    /// What did not hold; empty when every promise was kept.
    pub breaches: Vec<Breach>,
    /// Who did what, when; empty unless it was asked for.
    pub trace: String,
    /// How much virtual time went by.
    pub lasted: Duration,
}

/// Runs the schedule of a seed to its end. The same seed always makes the same schedule:
/// one thread, virtual time, and no chance but the seed's.
///
/// # Panics
/// When the runtime cannot be built.
#[must_use]
pub fn run(seed: u64, sabotage: Sabotage, told: bool) -> Schedule {
    run_on(Engine::Memory, seed, sabotage, told)
}

/// As [`run`], on this job store.
///
/// # Panics
/// When the runtime cannot be built, or a file cannot be made.
#[must_use]
pub fn run_on(engine: Engine, seed: u64, sabotage: Sabotage, told: bool) -> Schedule {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing from the system");
    runtime.block_on(tell(engine, seed, sabotage, told))
}

async fn tell(engine: Engine, seed: u64, sabotage: Sabotage, told: bool) -> Schedule {
    let begun = Instant::now();
    let world = Arc::new(World::new(engine, seed, sabotage, told));
    world
        .trace
        .say("world", || format!("seed {seed}: {:?}", world.climate));
    let mut processes = Vec::new();
    for number in 1..=world.climate.subscribers {
        processes.push(live(&world, Role::Subscriber, number));
    }
    for number in 1..=world.climate.workers {
        processes.push(live(&world, Role::Worker, number));
    }
    let people = people::arrive(&world);
    let mischief = tokio::spawn(mischief(Arc::clone(&world)));
    let last = world.calm_at + PATIENCE;
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        if !world.is_stormy() && end::is_settled(&world).await {
            break;
        }
        if Instant::now() > last {
            let open = end::unsettled(&world).await;
            world.judge.broken(Promise::EveryOrderEnds, open);
            break;
        }
    }
    end::balance(&world).await;
    for life in processes.into_iter().chain(people).chain([mischief]) {
        if life.is_finished() && life.await.is_err_and(|error| error.is_panic()) {
            world.judge.broken(Promise::NoPanic, "a task panicked");
        }
    }
    let breaches = world.judge.verdict();
    world.trace.say("world", || format!("{breaches:?}"));
    Schedule {
        seed,
        breaches,
        trace: world.trace.told(),
        lasted: begun.elapsed(),
    }
}

impl World {
    fn new(engine: Engine, seed: u64, sabotage: Sabotage, told: bool) -> Self {
        let dice = Dice::new(seed);
        let climate = Climate::of(&dice);
        let (judge, bus) = (Arc::default(), Arc::default());
        let clock = Arc::<PausedClock>::default();
        let ledger = Arc::new(Ledger::new(
            engine,
            Arc::clone(&clock) as _,
            Arc::clone(&bus),
            Arc::clone(&judge),
        ));
        let now = Instant::now();
        Self {
            begun: now,
            calm_at: now + climate.storm,
            trace: Trace::new(told),
            judge,
            clock: Arc::clone(&clock),
            channel: channel(),
            bus,
            crm: Crm::new(Arc::clone(&clock) as _, climate.coarse_versions),
            whmcs: Whmcs::default(),
            intake: sabotage.intake(&ledger),
            queue: sabotage.queue(&ledger),
            ledger,
            sabotage,
            outages: Mutex::new(Outages {
                store: now,
                crm: now,
                whmcs: now,
                denied: now,
            }),
            dice,
            climate,
        }
    }

    /// Whether there is still trouble.
    pub(crate) fn is_stormy(&self) -> bool {
        Instant::now() < self.calm_at
    }

    /// Whether a trouble strikes now.
    pub(crate) fn strikes(&self, per_mille: u32) -> bool {
        per_mille > 0 && self.is_stormy() && self.dice.chance(per_mille)
    }

    /// Whether WHMCS drops the notes of an order that is placed now.
    pub(crate) fn drops_notes(&self) -> bool {
        match self.climate.notes {
            Notes::Kept => false,
            Notes::Dropped => true,
            Notes::KeptFor(time) => self.begun.elapsed() > time,
        }
    }

    /// Returns when the trouble is over.
    pub(crate) async fn calm(&self) {
        tokio::time::sleep_until(self.calm_at).await;
    }

    /// Time on the wire, one way.
    pub(crate) fn latency(&self) -> Duration {
        match self.strikes(self.climate.slow) {
            true => self.dice.millis(100, 5_000),
            false => self.dice.millis(1, 30),
        }
    }

    pub(crate) fn is_down(&self, which: impl Fn(&Outages) -> Instant) -> bool {
        self.is_stormy() && Instant::now() < which(&lock(&self.outages))
    }

    pub(crate) fn now(&self) -> domain::time::Timestamp {
        self.clock.now()
    }
}

/// Whole systems go away, refuse us, or forget where we were.
async fn mischief(world: Arc<World>) {
    while world.is_stormy() {
        tokio::time::sleep(world.dice.millis(1_000, 8_000)).await;
        if world.strikes(world.climate.outage) {
            let until = Instant::now() + world.dice.millis(500, 30_000);
            let mut outages = lock(&world.outages);
            let which = match world.dice.below(4) {
                0 => (&mut outages.store, "the store is down"),
                1 => (&mut outages.crm, "Salesforce is down"),
                2 => (&mut outages.whmcs, "WHMCS is down"),
                _ => (&mut outages.denied, "WHMCS refuses us"),
            };
            *which.0 = until;
            world.trace.say("world", || which.1.to_owned());
        }
        if world.strikes(world.climate.bus_forgets / 2) {
            let purge = world.dice.chance(300);
            world.bus.forget(purge, |event| world.ledger.has(event));
            world.trace.say("world", || {
                let events = if purge { " and its events" } else { "" };
                format!("the bus forgets its positions{events}")
            });
        }
    }
}
