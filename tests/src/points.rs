//! Named points of a program's way, and dying at them.
//!
//! A point lies before or after a call through a port: every call to the outside and every
//! commit is one. [`Fate`] is read from a file; a process that reaches a point it names notes
//! that in the file and ends itself by SIGKILL, so that the next one does not die there again.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::OrderId;

/// Where the file of fates is, for the programs that die.
pub const FATES: &str = "VICTIM_FATES";

/// Set, it makes the programs that die look again sooner than is decent elsewhere: for tests
/// that wait for what comes round by itself.
const BRISK: &str = "VICTIM_BRISK";

/// The setting that makes a victim brisk.
#[must_use]
pub fn brisk() -> (&'static str, String) {
    (BRISK, "yes".to_owned())
}

/// How often a brisk victim asks whether WHMCS lets it in again.
#[must_use]
pub fn brisk_probe() -> Option<Duration> {
    std::env::var_os(BRISK).map(|_| Duration::from_millis(200))
}

/// How often a brisk victim judges alerts, and for how long it may.
#[must_use]
pub fn brisk_watch() -> Option<(Duration, Duration)> {
    std::env::var_os(BRISK).map(|_| (Duration::from_millis(300), Duration::from_secs(2)))
}

/// Which side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Nothing has happened yet.
    Before,
    /// It has happened, and nobody knows.
    After,
}

impl Side {
    const fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
        }
    }
}

/// The points at which the processes of a run are to die.
///
/// A line of the file is `ORDER POINT`, where the point is `before NAME` or `after NAME` and
/// the order may be `*`. Points that were reached go to the file with `.reached` added.
#[derive(Debug)]
pub struct Fate {
    file: PathBuf,
    left: Mutex<Vec<(String, String)>>,
    /// Which order a task works on.
    tasks: Mutex<HashMap<tokio::task::Id, OrderId>>,
}

impl Fate {
    /// The fates in the file named by [`FATES`], less those that were met.
    ///
    /// # Errors
    /// The variable is not set, or the file cannot be read.
    pub fn from_env() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let file = PathBuf::from(std::env::var(FATES)?);
        let reached = fs::read_to_string(reached_file(&file)).unwrap_or_default();
        let reached: Vec<_> = reached.lines().collect();
        let left = fs::read_to_string(&file)?
            .lines()
            .filter(|line| !reached.contains(line))
            .filter_map(|line| line.split_once(' '))
            .map(|(order, point)| (order.to_owned(), point.to_owned()))
            .collect();
        Ok(Self {
            file,
            left: Mutex::new(left),
            tasks: Mutex::default(),
        })
    }

    /// From now on the calls of this task are about that order.
    pub fn works_on(&self, order: OrderId) {
        if let Some(task) = tokio::task::try_id() {
            lock(&self.tasks).insert(task, order);
        }
    }

    /// Passes a point of the order that this task works on.
    pub fn pass(&self, side: Side, name: &str) {
        let order = tokio::task::try_id().and_then(|task| lock(&self.tasks).get(&task).copied());
        self.pass_for(order, side, name);
    }

    /// Passes a point, or dies at it.
    pub fn pass_for(&self, order: Option<OrderId>, side: Side, name: &str) {
        let here = format!("{} {name}", side.name());
        let left = lock(&self.left);
        let met = left.iter().find(|(whose, point)| {
            *point == here
                && (whose == "*" || order.is_some_and(|order| order.as_str() == whose.as_str()))
        });
        if let Some((whose, point)) = met {
            self.die(&format!("{whose} {point}"));
        }
    }

    fn die(&self, line: &str) -> ! {
        let noted = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(reached_file(&self.file))
            .and_then(|mut file| writeln!(file, "{line}"));
        if noted.is_ok() {
            // What the kernel has taken survives the process.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
        std::process::abort()
    }
}

/// Where the points that were reached are noted.
#[must_use]
pub fn reached_file(fates: &std::path::Path) -> PathBuf {
    let mut name = fates.as_os_str().to_owned();
    name.push(".reached");
    PathBuf::from(name)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
