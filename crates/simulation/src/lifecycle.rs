//! Process lifecycle: start, crash, stop, and pauses that outlast a lease.

use std::sync::Arc;
use std::time::Duration;

use domain::order::PlanRules;
use domain::ports::Start;
use intake::{Intake, Sweep, SweepSettings};
use provisioning::Worker;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::sim_process::{Pause, SimProcess, TIMEOUT};
use crate::world::{QUIET, World};

/// Lease of a job and of the channel.
const LEASE: Duration = Duration::from_secs(6);
/// Interval of the sweep, and minimum age of an activation it enqueues.
const SWEEP: Duration = Duration::from_secs(10);
/// Drain time after the stop signal.
const DRAIN: Duration = Duration::from_secs(3);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Role {
    Subscriber,
    Worker,
}

/// Runs a process and restarts it whenever it ended.
pub(crate) fn spawn(world: &Arc<World>, role: Role, number: u32) -> JoinHandle<()> {
    tokio::spawn(machine(Arc::clone(world), role, number))
}

async fn machine(world: Arc<World>, role: Role, number: u32) {
    let off = i64::try_from(world.rng.below(2 * world.faults.skew + 1)).unwrap_or(0);
    let skew = off - i64::try_from(world.faults.skew).unwrap_or(0);
    for start in 1_u32.. {
        let name = match role {
            Role::Subscriber => format!("subscriber-{number}.{start}"),
            Role::Worker => format!("worker-{number}.{start}"),
        };
        world
            .trace
            .say(&name, || format!("starts, clock skew {skew} ms"));
        let process = Process::start(&world, role, name, skew);
        process.run_until_end(&world).await;
        tokio::time::sleep(world.rng.millis(0, 8_000)).await;
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
        let process = SimProcess::new(world, name.clone(), skew, Arc::clone(&pause));
        let until = stop.clone();
        let task = match role {
            Role::Subscriber => {
                let settings = intake::Settings {
                    channel: world.channel.clone(),
                    start: match world.faults.newest_first {
                        true => Start::Latest,
                        false => Start::Earliest,
                    },
                    on_loss: world.faults.on_loss,
                    lease: LEASE,
                };
                let intake = Intake::new(process.intake_ports(), settings);
                let every = match world.faults.sweep {
                    true => SWEEP,
                    false => Duration::ZERO,
                };
                let sweep = Sweep::new(
                    process.sweep_ports(),
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
                let worker = Worker::new(process.worker_ports(), settings(world));
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

    /// Runs until the process ends; without faults, forever.
    async fn run_until_end(mut self, world: &World) {
        while world.faults_active() {
            tokio::select! {
                biased;
                ended = &mut self.task => {
                    // A panic of the process fails the test.
                    ended.expect("a process ends only when stopped");
                    return;
                }
                () = tokio::time::sleep(world.rng.millis(500, 6_000)) => {}
            }
            if world.injects(world.faults.pause) {
                let time = match world.rng.chance(500) {
                    true => world.rng.millis(100, 2_000),
                    false => world.rng.millis(2_000, 40_000),
                };
                world
                    .trace
                    .say(&self.name, || format!("is paused for {time:?}"));
                self.pause.set(true);
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(time) => {}
                    () = world.until_faults_end() => {}
                }
                world.trace.say(&self.name, || "resumes".to_owned());
                self.pause.set(false);
            }
            if world.injects(world.faults.crash) {
                match world.rng.chance(700) {
                    true => self.crash(world).await,
                    false => self.stop(world).await,
                }
                return;
            }
        }
        // From now on every promise must be kept without further faults.
        let ended = (&mut self.task).await;
        ended.expect("a process ends only when stopped");
    }

    async fn crash(self, world: &World) {
        world.trace.say(&self.name, || "crashes".to_owned());
        self.task.abort();
        let _ = self.task.await;
    }

    /// Sends the stop signal, and kills the process if it outlasts the drain.
    async fn stop(mut self, world: &World) {
        world.trace.say(&self.name, || "gets SIGTERM".to_owned());
        self.stop.cancel();
        let grace = tokio::time::sleep(DRAIN + LEASE);
        tokio::select! {
            biased;
            ended = &mut self.task => ended.expect("a stopping process does not panic"),
            () = grace => self.crash(world).await,
        }
    }
}

fn settings(world: &World) -> provisioning::Settings {
    provisioning::Settings {
        concurrency: 3,
        lease: LEASE,
        retry_budget: Duration::from_secs(8),
        drain: DRAIN,
        rules: PlanRules {
            create_clients: true,
            quiet_period: world.mutation.quiet_period().unwrap_or(QUIET),
            call_timeout: TIMEOUT,
            ..PlanRules::default()
        },
        pause_limit: Duration::from_secs(20),
        probe_every: Duration::from_secs(4),
        backoff_base: Duration::from_millis(200),
        backoff_cap: Duration::from_secs(5),
    }
}
