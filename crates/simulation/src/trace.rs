//! Trace of a schedule: which process did what, and when.

use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// The trace of one schedule, written only on request because writing is slower than running.
#[derive(Debug)]
pub(crate) struct Trace {
    started: Instant,
    text: Option<Mutex<String>>,
}

impl Trace {
    pub(crate) fn new(traced: bool) -> Self {
        Self {
            started: Instant::now(),
            text: traced.then(Mutex::default),
        }
    }

    pub(crate) fn say(&self, who: &str, what: impl FnOnce() -> String) {
        let Some(text) = &self.text else { return };
        let at = self.started.elapsed().as_millis();
        let mut text = lock(text);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{at:>8} ms  {who:<16} {}", what());
    }

    pub(crate) fn take(&self) -> String {
        self.text
            .as_ref()
            .map(|text| std::mem::take(&mut *lock(text)))
            .unwrap_or_default()
    }
}

/// Locks a mutex and ignores poisoning.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
