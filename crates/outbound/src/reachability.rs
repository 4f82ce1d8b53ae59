//! Whether a system answers.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whether the last call to a system was answered, for readiness. Clones share the state.
///
/// An answer of any kind counts, except that the system, or a proxy in front of it, reports itself
/// as unavailable (HTTP 5xx).
#[derive(Clone, Debug, Default)]
pub struct Reachability(Arc<Mutex<Option<String>>>);

impl Reachability {
    /// Records the status of an answer.
    pub fn answered(&self, status: u16) {
        *self.lock() = (status >= 500).then(|| format!("it answered HTTP {status}"));
    }

    /// Records that a call was not answered. `detail` says why, without secrets.
    pub fn failed(&self, detail: impl Into<String>) {
        *self.lock() = Some(detail.into());
    }

    /// Why the last call was not answered; `None` also before the first call.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_call_decides() {
        let reachability = Reachability::default();
        assert_eq!(reachability.problem(), None);
        let clone = reachability.clone();
        clone.failed("connection refused");
        assert_eq!(
            reachability.problem().as_deref(),
            Some("connection refused")
        );
        clone.answered(403);
        assert_eq!(reachability.problem(), None, "a refusal is an answer");
        clone.answered(503);
        assert_eq!(
            reachability.problem().as_deref(),
            Some("it answered HTTP 503")
        );
    }
}
