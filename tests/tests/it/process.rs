//! Child processes that tests can kill.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::Value;
use tokio::process::{Child, Command};

use crate::test_env::Settings;

/// A running program. Dropping it kills it.
pub(crate) struct Process(Child);

impl Process {
    /// Starts a program and appends its output to `log`.
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

    /// Starts a program that ignores SIGXFSZ, so that writes fail with an error.
    pub(crate) fn start_ignoring_file_limits(
        program: &str,
        settings: &Settings,
        log: &Path,
    ) -> Self {
        let shell = format!("trap '' XFSZ; exec '{program}' 2>>'{}'", log.display());
        let child = Command::new("/bin/sh")
            .args(["-c", &shell])
            .env_clear()
            .envs(settings.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Sets a resource limit of the running process; `None` restores the maximum.
    pub(crate) fn limit(&self, resource: Resource, most: Option<u64>) {
        let limits = getrlimit(resource);
        let current = most.or(limits.maximum);
        let maximum = limits.maximum;
        let limit = Rlimit { current, maximum };
        prlimit(Some(self.pid()), resource, limit).unwrap();
    }

    /// Peak memory usage (VmHWM).
    pub(crate) fn peak_memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid().as_raw_nonzero());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).unwrap()
    }

    fn pid(&self) -> Pid {
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        id.and_then(Pid::from_raw)
            .expect("the process was not reaped")
    }

    /// Waits for the process to exit.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.0.wait().await.unwrap()
    }

    /// Kills the process.
    pub(crate) async fn kill(mut self) {
        self.0.kill().await.unwrap();
    }

    /// Sends SIGTERM and waits for the exit.
    pub(crate) async fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}");
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }
}

/// Whether the process ended by SIGKILL.
pub(crate) fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::KILL.as_raw())
}

/// The listener address that the program logs to `log` as JSON, once it has started.
pub(crate) async fn address(log: &Path, program: &str) -> String {
    let started = format!("{program} started");
    let logged = |text: String| {
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|line| line["message"] == started)
            .map(|line| line["address"].as_str().unwrap().to_owned())
    };
    until_log(log, logged).await
}

/// Requests a page of a running program.
pub(crate) async fn page(log: &Path, program: &str, path: &str) -> (u16, String) {
    let url = format!("http://{}{path}", address(log, program).await);
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

/// Waits until the log contains the text.
pub(crate) async fn until_logged(log: &Path, text: &str) {
    until_log(log, |logged| logged.contains(text).then_some(())).await;
}

/// What `found` makes of the log, as soon as it makes something of it.
async fn until_log<T>(log: &Path, found: impl Fn(String) -> Option<T>) -> T {
    let logged = async {
        loop {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            if let Some(found) = found(text) {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), logged)
        .await
        .unwrap()
}

/// Waits until a page of the program matches.
pub(crate) async fn until_page(
    log: &Path,
    program: &str,
    path: &str,
    looks: impl Fn(u16, &str) -> bool,
) {
    let looked = async {
        loop {
            let (status, text) = page(log, program, path).await;
            if looks(status, &text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looked)
        .await
        .unwrap();
}
