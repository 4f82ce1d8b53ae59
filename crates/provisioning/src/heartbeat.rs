//! Renewal of leases, independent of the attempts that guard them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::job::{Lease, LeaseToken};
use domain::ports::{Clock, JobQueue};
use error_chain::chain;
use tokio_util::sync::CancellationToken;

/// A claimed lease: until when it is certainly valid, and a token that is cancelled when it is
/// lost.
#[derive(Clone, Debug)]
pub struct LeaseGuard {
    lease: Lease,
    until: Arc<Mutex<Duration>>,
    lost: CancellationToken,
    is_ending: Arc<AtomicBool>,
}

impl LeaseGuard {
    /// A lease valid until `until` on the monotonic clock, counted from *before* it was requested:
    /// by the store's clock it can only expire later.
    #[must_use]
    pub fn new(lease: Lease, until: Duration) -> Self {
        Self {
            lease,
            until: Arc::new(Mutex::new(until)),
            lost: CancellationToken::new(),
            is_ending: Arc::default(),
        }
    }

    /// Whether an effect may still start: a worker that was suspended past its lease must not make
    /// calls for a job that another worker may own. `monotonic` is the time on the monotonic clock.
    #[must_use]
    pub fn is_valid_at(&self, monotonic: Duration) -> bool {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        monotonic < until && !self.lost.is_cancelled()
    }

    fn extend(&self, until: Duration) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    /// The attempt is about to give its lease up. From now on a renewal that does not find the lease
    /// says nothing: the answer to the last update tells whether it was still ours.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Cancelled when the lease was lost.
    #[must_use]
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

/// The leases that this process renews.
#[derive(Debug, Default)]
pub(crate) struct HeldLeases(Mutex<BTreeMap<LeaseToken, LeaseGuard>>);

/// Ends the renewal of a lease when dropped. Dropped with its attempt, also by a panic: a job whose
/// attempt panicked must not keep its lease.
pub(crate) struct Renewal {
    leases: Arc<HeldLeases>,
    token: LeaseToken,
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.leases.lock().remove(&self.token);
    }
}

impl HeldLeases {
    /// Renews this lease until the guard is dropped.
    pub(crate) fn keep(self: &Arc<Self>, guard: LeaseGuard) -> Renewal {
        let token = guard.lease.token.clone();
        self.lock().insert(token.clone(), guard);
        Renewal {
            leases: Arc::clone(self),
            token,
        }
    }

    /// Renews every lease and cancels the attempts whose lease was lost.
    pub(crate) async fn renew(&self, queue: &dyn JobQueue, clock: &dyn Clock, ttl: Duration) {
        let leases: Vec<_> = self
            .lock()
            .values()
            .map(|guard| guard.lease.clone())
            .collect();
        if leases.is_empty() {
            return;
        }
        // Measured before the call: by the store's clock the lease can only expire later.
        let until = clock.monotonic() + ttl;
        match queue.renew(&leases, ttl).await {
            Ok(lost) => {
                let held = self.lock();
                for lease in leases {
                    let Some(guard) = held.get(&lease.token) else {
                        continue;
                    };
                    match lost.contains(&lease) {
                        false => guard.extend(until),
                        true if guard.is_ending.load(Ordering::Relaxed) => {}
                        true => {
                            tracing::warn!(job = %lease.job, "lease lost");
                            guard.lost.cancel();
                        }
                    }
                }
            }
            Err(error) => tracing::warn!(error = %chain(&error), "lease renewal failed"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<LeaseToken, LeaseGuard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use domain::key::JobId;
    use domain::ports::mocks::MockJobQueue;
    use testkit::{FakeClock, order_id, owner};

    use super::*;

    #[tokio::test]
    async fn renewal_that_crosses_the_last_update_aborts_no_attempt() {
        let lease = Lease {
            job: JobId::new("job").unwrap(),
            order: order_id(1),
            token: LeaseToken::of(&owner("w"), 1),
        };
        let mut queue = MockJobQueue::new();
        queue
            .expect_renew()
            .returning(|leases, _| Ok(leases.to_vec()));
        let leases = Arc::new(HeldLeases::default());
        let guard = LeaseGuard::new(lease, Duration::from_secs(60));
        let _renewal = leases.keep(guard.clone());
        guard.end();
        let ttl = Duration::from_secs(60);
        leases.renew(&queue, &FakeClock::default(), ttl).await;
        assert!(!guard.lost().is_cancelled());
        guard.is_ending.store(false, Ordering::Relaxed);
        leases.renew(&queue, &FakeClock::default(), ttl).await;
        assert!(guard.lost().is_cancelled());
    }
}
