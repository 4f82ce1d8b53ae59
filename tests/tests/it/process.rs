//! Programs in processes of their own, to be killed.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use crate::house::Settings;

/// A running program. Dropping it kills it.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a program; what it prints is appended to `log`.
    pub(crate) fn start(program: &str, settings: &Settings, log: &Path) -> Self {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let child = Command::new(program)
            .env_clear()
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Returns when it has ended.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.0.wait().await.unwrap()
    }

    /// Kills it where it stands.
    pub(crate) async fn kill(mut self) {
        self.0.kill().await.unwrap();
    }

    /// Tells it to stop and waits for its end.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}");
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        let pid = id.and_then(Pid::from_raw).expect("it was not waited for");
        kill_process(pid, signal).unwrap();
    }
}

/// Whether a process ended by SIGKILL, its own or another's.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}
