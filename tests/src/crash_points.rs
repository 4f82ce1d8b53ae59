//! Named crash points.
//!
//! A crash point is before or after a call through a port, that is around every external call and
//! every commit. [`CrashPoints`] is read from a file. A process that reaches a listed point
//! records that in the file and kills itself with SIGKILL, so that its successor passes the
//! point.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::OrderId;

/// Environment variable with the path of the crash points file.
pub const CRASH_POINTS_FILE: &str = "CRASH_POINTS_FILE";

/// When set, crashable programs use short intervals, for tests that wait for periodic work.
const SHORT_INTERVALS: &str = "SHORT_INTERVALS";

/// The setting that selects short intervals.
#[must_use]
pub fn short_intervals() -> (&'static str, String) {
    (SHORT_INTERVALS, "yes".to_owned())
}

/// The probe interval of WHMCS when intervals are short.
#[must_use]
pub fn short_probe_interval() -> Option<Duration> {
    std::env::var_os(SHORT_INTERVALS).map(|_| Duration::from_millis(200))
}

/// The interval and the lease of alert evaluation when intervals are short.
#[must_use]
pub fn short_watch_intervals() -> Option<(Duration, Duration)> {
    std::env::var_os(SHORT_INTERVALS).map(|_| (Duration::from_millis(300), Duration::from_secs(2)))
}

/// Side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Before the effect.
    Before,
    /// After the effect, before the caller has recorded it.
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

/// Crash points of the processes of a test.
///
/// A line of the file is `ORDER POINT`, where the point is `before NAME`, `after NAME`, or
/// `panic NAME` for a panic before the call instead of a crash, and the order may be `*`. Reached
/// points are appended to the file with `.reached` added to its name.
#[derive(Debug)]
pub struct CrashPoints {
    file: PathBuf,
    left: Mutex<Vec<(String, String)>>,
    /// The order that each task works on.
    tasks: Mutex<HashMap<tokio::task::Id, OrderId>>,
}

impl CrashPoints {
    /// Reads the file named by [`CRASH_POINTS_FILE`], without the points already reached.
    ///
    /// # Errors
    ///
    /// The variable is not set, or the file cannot be read.
    pub fn from_env() -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let file = PathBuf::from(std::env::var(CRASH_POINTS_FILE)?);
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

    /// Sets the order that the current task works on.
    pub fn set_order(&self, order: OrderId) {
        if let Some(task) = tokio::task::try_id() {
            lock(&self.tasks).insert(task, order);
        }
    }

    /// Passes a point for the current task's order.
    pub fn pass(&self, side: Side, name: &str) {
        let order = tokio::task::try_id().and_then(|task| lock(&self.tasks).get(&task).copied());
        self.reach_for(order, side, name);
    }

    /// Passes a point, or crashes there.
    pub fn reach_for(&self, order: Option<OrderId>, side: Side, name: &str) {
        let here = format!("{} {name}", side.name());
        let panics = (side == Side::Before).then(|| format!("panic {name}"));
        let mut left = lock(&self.left);
        let reached = left.iter().position(|(target, point)| {
            (*point == here || Some(point) == panics.as_ref())
                && (target == "*" || order.is_some_and(|order| order.as_str() == target.as_str()))
        });
        let Some(reached) = reached else { return };
        let (target, point) = left.remove(reached);
        drop(left);
        if Some(&point) == panics.as_ref() {
            panic!("crash point {point} reached");
        }
        self.crash(&format!("{target} {point}"));
    }

    fn crash(&self, line: &str) -> ! {
        let noted = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(reached_file(&self.file))
            .and_then(|mut file| writeln!(file, "{line}"));
        if noted.is_ok() {
            // Written data survives the process.
            let _ = rustix::process::kill_process(
                rustix::process::getpid(),
                rustix::process::Signal::KILL,
            );
        }
        std::process::abort()
    }
}

/// The file that records reached points.
#[must_use]
pub fn reached_file(crash_points: &std::path::Path) -> PathBuf {
    let mut name = crash_points.as_os_str().to_owned();
    name.push(".reached");
    PathBuf::from(name)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
