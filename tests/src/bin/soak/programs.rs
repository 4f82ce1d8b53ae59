//! The programs, and what is done to them.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use rand::Rng;
use rand::rngs::StdRng;
use rustix::process::{Pid, Signal, kill_process};
use simulators::World;

use crate::{Args, IDEMPOTENT, Mutation};

/// Every program of the run.
pub(crate) struct Programs {
    seats: Vec<Seat>,
    kills: u32,
    freezes: u32,
    stops: u32,
}

/// One place in which a program runs, dies and is started again.
struct Seat {
    program: PathBuf,
    settings: Vec<(String, String)>,
    log: PathBuf,
    child: Child,
    frozen_until: Option<Instant>,
}

impl Programs {
    pub(crate) fn start(
        args: &Args,
        world: &World,
        url: &str,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let config = folder.join("bridge.toml");
        let listed = match args.mutation {
            None => vec![IDEMPOTENT],
            // Whatever the world's products run beside it, by the simulator's default name.
            Some(Mutation::RepeatAccept) => vec![IDEMPOTENT, "simulated"],
        };
        std::fs::write(
            &config,
            format!("[whmcs]\nidempotent_modules = {listed:?}\n"),
        )?;
        let key = folder.join("key.pem");
        std::fs::write(&key, world.salesforce.login().private_key_pem)?;
        let mut settings: Vec<(String, String)> = world
            .environment()
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        for (name, value) in [
            ("DATABASE_URL", url.to_owned()),
            ("HTTP_ADDR", "127.0.0.1:0".to_owned()),
            ("SF_PRIVATE_KEY_FILE", key.display().to_string()),
            ("SF_EVENTS_REPLAY", "ALL".to_owned()),
            ("SUBSCRIBER_LEASE", "2s".to_owned()),
            ("WORKER_LEASE", "2s".to_owned()),
            // With the lease, longer than a worker is ever frozen here (5 s) and a module runs
            // after that (2 s).
            ("WHMCS_QUIET_PERIOD", "7s".to_owned()),
            ("WHMCS_TIMEOUT", "3s".to_owned()),
            ("RECONCILE_EVERY", "5s".to_owned()),
            ("RECONCILE_AFTER", "20s".to_owned()),
            ("ORDERBRIDGE_CONFIG", config.display().to_string()),
        ] {
            settings.push((name.to_owned(), value));
        }
        let kinds = [("subscriber", args.subscribers), ("worker", args.workers)];
        let mut seats = Vec::new();
        for (name, count) in kinds {
            for number in 1..=count {
                seats.push(Seat::start(
                    args.bins.join(name),
                    settings.clone(),
                    folder.join(format!("{name}-{number}.log")),
                )?);
            }
        }
        Ok(Self {
            seats,
            kills: 0,
            freezes: 0,
            stops: 0,
        })
    }

    /// Kills, freezes or stops one of them now and then, and wakes the frozen.
    pub(crate) fn disturb(&mut self, dice: &mut StdRng) -> anyhow::Result<()> {
        for seat in &mut self.seats {
            if seat
                .frozen_until
                .is_some_and(|until| until < Instant::now())
            {
                seat.signal(Signal::CONT);
                seat.frozen_until = None;
            }
            seat.start_again_when_over()?;
        }
        let which = dice.random_range(0..self.seats.len());
        let seat = &mut self.seats[which];
        match dice.random_range(0..100) {
            0..12 => {
                seat.signal(Signal::KILL);
                self.kills += 1;
            }
            12..16 if seat.frozen_until.is_none() => {
                seat.signal(Signal::STOP);
                let pause = Duration::from_millis(dice.random_range(500..5000));
                seat.frozen_until = Some(Instant::now() + pause);
                self.freezes += 1;
            }
            16..19 => {
                seat.signal(Signal::TERM);
                self.stops += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// Wakes and starts all of them.
    pub(crate) fn all_up(&mut self) -> anyhow::Result<()> {
        for seat in &mut self.seats {
            if seat.frozen_until.take().is_some() {
                seat.signal(Signal::CONT);
            }
            seat.start_again_when_over()?;
        }
        Ok(())
    }

    /// What was done to them.
    pub(crate) fn queue_stats(&self) -> String {
        format!(
            "{} kills, {} freezes, {} stops",
            self.kills, self.freezes, self.stops
        )
    }

    /// Tells all to stop, and ends those that do not.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.all_up()?;
        for seat in &mut self.seats {
            seat.signal(Signal::TERM);
        }
        let patience = Instant::now() + Duration::from_secs(60);
        for seat in &mut self.seats {
            while seat.child.try_wait()?.is_none() && Instant::now() < patience {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Copies the logs to where they outlast the run.
    pub(crate) fn show_logs(&self, folder: &Path) -> anyhow::Result<()> {
        let kept = std::env::temp_dir().join("soak-logs");
        std::fs::create_dir_all(&kept)?;
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if let Some(name) = path.file_name() {
                std::fs::copy(&path, kept.join(name))?;
            }
        }
        crate::say(&format!("logs and store are kept in {}", kept.display()));
        Ok(())
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for seat in &mut self.seats {
            // They may have ended.
            let _ = seat.child.kill();
            let _ = seat.child.wait();
        }
    }
}

impl Seat {
    fn start(
        program: PathBuf,
        settings: Vec<(String, String)>,
        log: PathBuf,
    ) -> anyhow::Result<Self> {
        let child = spawn(&program, &settings, &log)?;
        Ok(Self {
            program,
            settings,
            log,
            child,
            frozen_until: None,
        })
    }

    fn start_again_when_over(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            self.frozen_until = None;
            self.child = spawn(&self.program, &self.settings, &self.log)?;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended already; its place is filled at the next look.
            let _ = kill_process(pid, signal);
        }
    }
}

fn spawn(program: &Path, settings: &[(String, String)], log: &Path) -> anyhow::Result<Child> {
    let log: File = OpenOptions::new().create(true).append(true).open(log)?;
    Command::new(program)
        .env_clear()
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .with_context(|| {
            format!(
                "{} cannot be started; build it first: cargo build -p subscriber -p worker",
                program.display()
            )
        })
}
