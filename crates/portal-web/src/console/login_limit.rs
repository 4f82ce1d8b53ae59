//! Limits on failed logins, within this process.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Failed logins of one address per window; after them every login is refused until its end.
const MAX_FAILURES: u32 = 10;
/// Failed logins that are recorded in the audit log per window, of all addresses together.
const MAX_AUDITED: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are tracked before those whose window has ended are dropped.
const MAX_ADDRESSES: usize = 10_000;

/// Failures since a moment on the monotonic clock.
#[derive(Clone, Copy)]
struct Window {
    since: Duration,
    count: u32,
}

impl Window {
    fn left(self, now: Duration) -> Option<Duration> {
        WINDOW
            .checked_sub(now.saturating_sub(self.since))
            .filter(|left| !left.is_zero())
    }

    /// Counts one more; returns how many there are now.
    fn count(window: &mut Option<Self>, now: Duration) -> u32 {
        let current = window.filter(|window| window.left(now).is_some());
        let counted = Self {
            since: current.map_or(now, |window| window.since),
            count: current.map_or(0, |window| window.count).saturating_add(1),
        };
        *window = Some(counted);
        counted.count
    }
}

/// Failed logins by address.
#[derive(Default)]
pub(super) struct LoginLimit(Mutex<Failures>);

#[derive(Default)]
struct Failures {
    // Addresses are unknown where the listener does not say them; those share one limit.
    by_address: HashMap<Option<IpAddr>, Option<Window>>,
    audited: Option<Window>,
}

impl LoginLimit {
    /// # Errors
    /// Too many logins of this address failed; how long to wait.
    pub(super) fn check(&self, address: Option<IpAddr>, now: Duration) -> Result<(), Duration> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = failures.by_address.get(&address).copied().flatten();
        let full = window.filter(|window| window.count >= MAX_FAILURES);
        match full.and_then(|window| window.left(now)) {
            Some(left) => Err(left),
            None => Ok(()),
        }
    }

    /// Counts a failure; returns whether it is to be recorded in the audit log.
    pub(super) fn count(&self, address: Option<IpAddr>, now: Duration) -> bool {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Failures {
            by_address,
            audited,
        } = &mut *failures;
        if by_address.len() >= MAX_ADDRESSES {
            by_address.retain(|_, window| window.is_some_and(|window| window.left(now).is_some()));
        }
        Window::count(by_address.entry(address).or_default(), now);
        Window::count(audited, now) <= MAX_AUDITED
    }
}
