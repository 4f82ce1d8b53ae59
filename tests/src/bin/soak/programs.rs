//! The programs under test and their disturbances.

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

/// All programs of the run.
pub(crate) struct Programs {
    processes: Vec<Supervised>,
    kills: u32,
    freezes: u32,
    stops: u32,
}

/// A program that is restarted after it ended.
struct Supervised {
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
            // Every module of the simulator, whose default name is `simulated`.
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
            // With the lease, longer than a worker is frozen (5 s) and a module runs after that
            // (2 s).
            ("WHMCS_QUIET_PERIOD", "7s".to_owned()),
            ("WHMCS_TIMEOUT", "3s".to_owned()),
            ("RECONCILE_EVERY", "5s".to_owned()),
            ("RECONCILE_AFTER", "20s".to_owned()),
            ("ORDERBRIDGE_CONFIG", config.display().to_string()),
        ] {
            settings.push((name.to_owned(), value));
        }
        let kinds = [("subscriber", args.subscribers), ("worker", args.workers)];
        let mut processes = Vec::new();
        for (name, count) in kinds {
            for number in 1..=count {
                processes.push(Supervised::start(
                    args.bins.join(name),
                    settings.clone(),
                    folder.join(format!("{name}-{number}.log")),
                )?);
            }
        }
        Ok(Self {
            processes,
            kills: 0,
            freezes: 0,
            stops: 0,
        })
    }

    /// Occasionally kills, freezes or stops a process, and resumes frozen ones.
    pub(crate) fn disturb(&mut self, rng: &mut StdRng) -> anyhow::Result<()> {
        for process in &mut self.processes {
            if process
                .frozen_until
                .is_some_and(|until| until < Instant::now())
            {
                process.signal(Signal::CONT);
                process.frozen_until = None;
            }
            process.restart_if_exited()?;
        }
        let which = rng.random_range(0..self.processes.len());
        let process = &mut self.processes[which];
        match rng.random_range(0..100) {
            0..12 => {
                process.signal(Signal::KILL);
                self.kills += 1;
            }
            12..16 if process.frozen_until.is_none() => {
                process.signal(Signal::STOP);
                let pause = Duration::from_millis(rng.random_range(500..5000));
                process.frozen_until = Some(Instant::now() + pause);
                self.freezes += 1;
            }
            16..19 => {
                process.signal(Signal::TERM);
                self.stops += 1;
            }
            _ => {}
        }
        Ok(())
    }

    /// Resumes and starts all processes.
    pub(crate) fn resume_all(&mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            if process.frozen_until.take().is_some() {
                process.signal(Signal::CONT);
            }
            process.restart_if_exited()?;
        }
        Ok(())
    }

    /// The number of disturbances.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} kills, {} freezes, {} stops",
            self.kills, self.freezes, self.stops
        )
    }

    /// Sends SIGTERM to all processes and kills those that do not end.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.resume_all()?;
        for process in &mut self.processes {
            process.signal(Signal::TERM);
        }
        let timeout = Instant::now() + Duration::from_secs(60);
        for process in &mut self.processes {
            while process.child.try_wait()?.is_none() && Instant::now() < timeout {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Copies the logs to a folder that outlives the run.
    pub(crate) fn save_logs(&self, folder: &Path) -> anyhow::Result<()> {
        let kept = std::env::temp_dir().join("soak-logs");
        std::fs::create_dir_all(&kept)?;
        for entry in std::fs::read_dir(folder)? {
            let path = entry?.path();
            if let Some(name) = path.file_name() {
                std::fs::copy(&path, kept.join(name))?;
            }
        }
        crate::say(&format!("logs and store saved in {}", kept.display()));
        Ok(())
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // The processes may have ended.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
    }
}

impl Supervised {
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

    fn restart_if_exited(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            self.frozen_until = None;
            self.child = spawn(&self.program, &self.settings, &self.log)?;
        }
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended already; it is restarted at the next check.
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
