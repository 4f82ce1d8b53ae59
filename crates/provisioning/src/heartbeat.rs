//! Renewal of leases, independent of the attempts that guard them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::job::{Lease, LeaseToken};
use error_chain::chain;
use tokio_util::sync::CancellationToken;

use crate::worker::Ports;

/// A claimed lease: until when it is certainly valid, and a token that is cancelled when it is
/// lost.
#[derive(Clone, Debug)]
pub struct LeaseGuard {
    lease: Lease,
    until: Arc<Mutex<Duration>>,
    lost: CancellationToken,
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
    pub(crate) async fn renew(&self, ports: &Ports, ttl: Duration) {
        let leases: Vec<_> = self
            .lock()
            .values()
            .map(|guard| guard.lease.clone())
            .collect();
        if leases.is_empty() {
            return;
        }
        // Measured before the call: by the store's clock the lease can only expire later.
        let until = ports.clock.monotonic() + ttl;
        match ports.queue.renew(&leases, ttl).await {
            Ok(lost) => {
                let held = self.lock();
                for lease in leases {
                    let Some(guard) = held.get(&lease.token) else {
                        continue;
                    };
                    if lost.contains(&lease) {
                        tracing::warn!(job = %lease.job, "lease lost");
                        guard.lost.cancel();
                    } else {
                        guard.extend(until);
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
