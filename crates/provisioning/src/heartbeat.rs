//! Keeping leases alive, apart from the work they are for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::job::{Lease, LeaseToken};
use tokio_util::sync::CancellationToken;

use crate::worker::Ports;

/// One lease in our hands: until when it surely holds, and a way to stop its work.
#[derive(Clone, Debug)]
pub struct Hold {
    lease: Lease,
    until: Arc<Mutex<Duration>>,
    lost: CancellationToken,
}

impl Hold {
    /// A lease that holds until `until` on the monotonic clock, counted from *before* it was
    /// asked for: by the store's clock it can only run out later.
    #[must_use]
    pub fn new(lease: Lease, until: Duration) -> Self {
        Self {
            lease,
            until: Arc::new(Mutex::new(until)),
            lost: CancellationToken::new(),
        }
    }

    /// Whether an effect may still begin: a worker that was paused past its lease must not
    /// send what another has taken over. `monotonic` is the monotonic clock's reading.
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

/// The leases of this process.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<BTreeMap<LeaseToken, Hold>>);

/// Keeps a lease alive for as long as it lives. Dropped with its work, however that ends: a
/// job whose work panicked must not keep its lease.
pub(crate) struct LeaseGuard {
    holds: Arc<Holds>,
    token: LeaseToken,
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.holds.lock().remove(&self.fence);
    }
}

impl Holds {
    /// Renews this lease until the guard is dropped.
    pub(crate) fn keep(self: &Arc<Self>, hold: Hold) -> LeaseGuard {
        let fence = hold.lease.token.clone();
        self.lock().insert(fence.clone(), hold);
        LeaseGuard {
            holds: Arc::clone(self),
            fence,
        }
    }

    /// Renews every lease; work whose lease was lost is stopped.
    pub(crate) async fn renew(&self, ports: &Ports, ttl: Duration) {
        let leases: Vec<_> = self
            .lock()
            .values()
            .map(|hold| hold.lease.clone())
            .collect();
        if leases.is_empty() {
            return;
        }
        // Measured before the call: the store's lease can only run out later than this.
        let until = ports.clock.monotonic() + ttl;
        match ports.queue.renew(&leases, ttl).await {
            Ok(lost) => {
                let holds = self.lock();
                for lease in leases {
                    let Some(hold) = holds.get(&lease.token) else {
                        continue;
                    };
                    if lost.contains(&lease) {
                        tracing::warn!(job = %lease.job, "the lease was lost; its work stops here");
                        hold.lost.cancel();
                    } else {
                        hold.extend(until);
                    }
                }
            }
            Err(error) => tracing::warn!(%error, "leases could not be renewed"),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<LeaseToken, Hold>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
