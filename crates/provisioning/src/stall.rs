//! Stalled jobs: jobs that wait for an external system do not occupy the slots of others.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use domain::ports::System;
use tokio::sync::Notify;

/// A call without an answer for this long counts as stalled.
pub(crate) const STALL_THRESHOLD: Duration = Duration::from_secs(5);

/// Number of jobs that are stalled at each external system.
#[derive(Debug, Default)]
pub(crate) struct Stalls {
    counts: Mutex<[usize; 2]>,
    changed: Notify,
}

impl Stalls {
    /// Counts this job as stalled until the guard is dropped.
    pub(crate) fn enter(&self, system: System) -> Stalled<'_> {
        self.add(system, true);
        Stalled {
            stalls: self,
            system,
        }
    }

    /// Number of used slots that other jobs may use: those of stalled jobs, at most `limit` per
    /// system.
    pub(crate) fn extra_slots(&self, limit: usize) -> usize {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|count| (*count).min(limit)).sum()
    }

    /// Returns when the counts may have changed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn add(&self, system: System, entering: bool) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = &mut counts[system as usize];
        *count = match entering {
            true => *count + 1,
            false => count.saturating_sub(1),
        };
        drop(counts);
        self.changed.notify_one();
    }
}

/// A stalled job.
pub(crate) struct Stalled<'a> {
    stalls: &'a Stalls,
    system: System,
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.stalls.add(self.system, false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stalled_slots_are_reused_up_to_a_limit_per_system() {
        let stalls = Stalls::default();
        let whmcs: Vec<_> = (0..5).map(|_| stalls.enter(System::Whmcs)).collect();
        let salesforce = stalls.enter(System::Salesforce);
        assert_eq!(stalls.extra_slots(4), 5);
        drop(whmcs);
        assert_eq!(stalls.extra_slots(4), 1);
        drop(salesforce);
        assert_eq!(stalls.extra_slots(4), 0);
    }
}
