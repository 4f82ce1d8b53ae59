//! Processes, and what befalls them: crashes, stops, and pauses that outlast a lease.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::Start;
use intake::{Intake, Sweep, SweepSettings};
use provisioning::Worker;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::seat::{Pause, Seat, TIMEOUT};
use crate::world::{QUIET, World};

/// A lease, of a job and of the channel.
const LEASE: Duration = Duration::from_secs(6);
/// How often activations are swept up, and how old they must be.
const SWEEP: Duration = Duration::from_secs(10);
/// Time for jobs in hand after the stop signal.
const DRAIN: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Subscriber,
    Worker,
}

/// A machine that starts its process again whenever it ended.
pub(crate) fn live(world: &Arc<World>, role: Role, number: u32) -> JoinHandle<()> {
    tokio::spawn(machine(Arc::clone(world), role, number))
}

async fn machine(world: Arc<World>, role: Role, number: u32) {
    let off = i64::try_from(world.dice.below(2 * world.climate.skew + 1)).unwrap_or(0);
    let skew = off - i64::try_from(world.climate.skew).unwrap_or(0);
    for start in 1_u32.. {
        let name = match role {
            Role::Subscriber => format!("subscriber-{number}.{start}"),
            Role::Worker => format!("worker-{number}.{start}"),
        };
        world
            .trace
            .say(&name, || format!("starts, clock off by {skew} ms"));
        let process = Process::start(&world, role, name, skew);
        process.last(&world).await;
        tokio::time::sleep(world.dice.millis(0, 8_000)).await;
    }
}

struct Process {
    name: String,
    pause: Arc<Pause>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Process {
    fn start(world: &Arc<World>, role: Role, name: String, skew: i64) -> Self {
        let pause = Arc::new(Pause::default());
        let stop = CancellationToken::new();
        let seat = Seat::new(world, name.clone(), skew, Arc::clone(&pause));
        let until = stop.clone();
        let task = match role {
            Role::Subscriber => {
                let settings = intake::Settings {
                    channel: world.channel.clone(),
                    start: match world.climate.newest_first {
                        true => Start::Latest,
                        false => Start::Earliest,
                    },
                    on_loss: world.climate.on_loss,
                    lease: LEASE,
                };
                let intake = Intake::new(seat.intake_ports(), settings);
                let every = match world.climate.sweep {
                    true => SWEEP,
                    false => Duration::ZERO,
                };
                let sweep = Sweep::new(
                    seat.sweep_ports(),
                    SweepSettings {
                        every,
                        after: SWEEP,
                    },
                    intake.health(),
                    intake.missed(),
                );
                tokio::spawn(async move {
                    tokio::join!(intake.run(until.clone()), sweep.run(until.clone()));
                })
            }
            Role::Worker => {
                let worker = Worker::new(seat.worker_ports(), settings(world));
                tokio::spawn(async move { worker.run(until).await })
            }
        };
        Self {
            name,
            pause,
            stop,
            task,
        }
    }

    /// Runs until it dies; in calm weather for ever.
    async fn last(mut self, world: &World) {
        while world.is_stormy() {
            tokio::select! {
                biased;
                ended = &mut self.task => {
                    // A panic of the process is the test's to see.
                    ended.expect("a process ends by itself only when told to");
                    return;
                }
                () = tokio::time::sleep(world.dice.millis(500, 6_000)) => {}
            }
            if world.strikes(world.climate.pause) {
                let time = match world.dice.chance(500) {
                    true => world.dice.millis(100, 2_000),
                    false => world.dice.millis(2_000, 40_000),
                };
                world
                    .trace
                    .say(&self.name, || format!("is paused for {time:?}"));
                self.pause.set(true);
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(time) => {}
                    () = world.calm() => {}
                }
                world.trace.say(&self.name, || "goes on".to_owned());
                self.pause.set(false);
            }
            if world.strikes(world.climate.crash) {
                match world.dice.chance(700) {
                    true => self.crash(world).await,
                    false => self.stop(world).await,
                }
                return;
            }
        }
        // Everything that was promised must now come about by itself.
        let ended = (&mut self.task).await;
        ended.expect("a process ends by itself only when told to");
    }

    async fn crash(self, world: &World) {
        world.trace.say(&self.name, || "crashes".to_owned());
        self.task.abort();
        let _ = self.task.await;
    }

    /// The stop signal, and the end of patience some time after the drain.
    async fn stop(mut self, world: &World) {
        world.trace.say(&self.name, || "is told to stop".to_owned());
        self.stop.cancel();
        let patience = tokio::time::sleep(DRAIN + LEASE);
        tokio::select! {
            biased;
            ended = &mut self.task => ended.expect("stopping is no reason to panic"),
            () = patience => self.crash(world).await,
        }
    }
}

fn settings(world: &World) -> provisioning::Settings {
    provisioning::Settings {
        concurrency: 3,
        lease: LEASE,
        retry_budget: Duration::from_secs(8),
        drain: DRAIN,
        quiet_period: world.sabotage.quiet_period().unwrap_or(QUIET),
        call_timeout: TIMEOUT,
        pause_limit: Duration::from_secs(20),
        probe_every: Duration::from_secs(4),
        backoff_base: Duration::from_millis(200),
        backoff_cap: Duration::from_secs(5),
        create_clients: true,
        ..provisioning::Settings::default()
    }
}
