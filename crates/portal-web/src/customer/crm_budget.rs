//! The portal's share of the API calls that Salesforce grants to all programs together.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::ports::{ApiAllowance, Clock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use super::rate_limit::MonotonicClock;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// One call in so many is for reads of customers, and as many are for their new orders, so that
/// neither uses up the other's.
const SHARE: u64 = 4;
/// One in so many of a day's calls may be made in one burst.
const BURST: u32 = 4;
/// The smallest burst: a new order costs several calls.
const MIN_BURST: u32 = 8;
/// The allowance until Salesforce reports it: the least that any edition with an API has.
const ASSUMED_LIMIT: u64 = 15_000;

type Limiter = RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<Duration>>;

/// Counts the calls of one kind, within this process.
pub(super) struct CrmBudget {
    allowance: Arc<dyn ApiAllowance>,
    clock: MonotonicClock,
    /// The reported limit, and the limiter that follows from it.
    current: Mutex<(u64, Limiter)>,
}

impl CrmBudget {
    pub(super) fn new(allowance: Arc<dyn ApiAllowance>, clock: Arc<dyn Clock>) -> Self {
        let clock = MonotonicClock(clock);
        let limiter = limiter(ASSUMED_LIMIT, clock.clone());
        Self {
            allowance,
            clock,
            current: Mutex::new((ASSUMED_LIMIT, limiter)),
        }
    }

    /// Whether so few calls are left that those which can wait are not made.
    pub(super) fn is_low(&self) -> bool {
        let reported = self.allowance.reported();
        reported.is_some_and(|reported| reported.is_low())
    }

    /// Counts calls before they are made; `false` when the share is used up.
    pub(super) fn take(&self, calls: NonZeroU32) -> bool {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        // An outdated report says nothing new about the limit, which hardly ever changes.
        if let Some(reported) = self.allowance.reported()
            && reported.limit != current.0
        {
            *current = (reported.limit, limiter(reported.limit, self.clock.clone()));
        }
        matches!(current.1.check_n(calls), Ok(Ok(())))
    }
}

fn limiter(limit: u64, clock: MonotonicClock) -> Limiter {
    let calls = u32::try_from(limit / SHARE).unwrap_or(u32::MAX);
    let calls = NonZeroU32::new(calls).unwrap_or(NonZeroU32::MIN);
    let burst = (calls.get() / BURST).max(MIN_BURST);
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let period = (DAY / calls.get()).max(Duration::from_nanos(1));
    let quota = Quota::with_period(period).unwrap_or(Quota::per_hour(calls));
    RateLimiter::direct_with_clock(quota.allow_burst(burst), clock)
}
