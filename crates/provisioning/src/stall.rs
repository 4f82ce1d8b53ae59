//! Jobs that wait for an outside system do not keep the slots of those that could go on.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use domain::ports::System;
use tokio::sync::Notify;

/// A call that was not answered for so long counts as stalled.
pub(crate) const STALLS_AFTER: Duration = Duration::from_secs(5);

/// How many jobs in hand are stalled at each outside system.
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

    /// How many of the slots in use can be lent to other jobs: those of stalled jobs, for each
    /// system at most `limit`.
    pub(crate) fn lendable(&self, limit: usize) -> usize {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|count| (*count).min(limit)).sum()
    }

    /// Returns when the numbers may have changed.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn add(&self, system: System, enters: bool) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = &mut counts[system as usize];
        *count = match enters {
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
    fn slots_of_stalled_jobs_are_lent_up_to_a_limit_for_each_system() {
        let stalls = Stalls::default();
        let whmcs: Vec<_> = (0..5).map(|_| stalls.enter(System::Whmcs)).collect();
        let salesforce = stalls.enter(System::Salesforce);
        assert_eq!(stalls.lendable(4), 5);
        drop(whmcs);
        assert_eq!(stalls.lendable(4), 1);
        drop(salesforce);
        assert_eq!(stalls.lendable(4), 0);
    }
}
