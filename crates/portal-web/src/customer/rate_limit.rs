//! Limit on the orders that one account creates.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use domain::id::AccountId;
use domain::ports::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};

/// Orders in one burst.
const BURST: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
/// Sustained rate.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Accounts that are tracked before idle ones are dropped.
const MAX_ACCOUNTS: usize = 10_000;

/// The injected clock, for the rate limiter.
#[derive(Clone)]
struct MonotonicClock(Arc<dyn Clock>);

impl governor::clock::Clock for MonotonicClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}

type Limiter = RateLimiter<
    AccountId,
    DefaultKeyedStateStore<AccountId>,
    MonotonicClock,
    NoOpMiddleware<Duration>,
>;

/// Rate limits by account, within this process.
pub(super) struct OrderRateLimit {
    limiter: Limiter,
    clock: Arc<dyn Clock>,
}

impl OrderRateLimit {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let quota = Quota::per_second(PER_SECOND).allow_burst(BURST);
        let limiter_clock = MonotonicClock(Arc::clone(&clock));
        Self {
            limiter: RateLimiter::new(quota, DefaultKeyedStateStore::default(), limiter_clock),
            clock,
        }
    }

    /// Counts an order of this account.
    ///
    /// # Errors
    /// The limit is reached; how long to wait.
    pub(super) fn check(&self, account: AccountId) -> Result<(), Duration> {
        if self.limiter.len() > MAX_ACCOUNTS {
            self.limiter.retain_recent();
        }
        let checked = self.limiter.check_key(&account);
        checked.map_err(|not_until| not_until.wait_time_from(self.clock.monotonic()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::FakeClock;

    #[test]
    fn rate_limit_is_per_account() {
        let clock = Arc::new(FakeClock::default());
        let limit = OrderRateLimit::new(clock.clone());
        let [busy, idle] = ["001000000000001", "001000000000002"]
            .map(|account| AccountId::parse(account).unwrap());
        for _ in 0..BURST.get() {
            assert_eq!(limit.check(busy), Ok(()));
        }
        assert_eq!(limit.check(busy), Err(Duration::from_millis(100)));
        assert_eq!(limit.check(idle), Ok(()));
        clock.advance(Duration::from_millis(100));
        assert_eq!(limit.check(busy), Ok(()));
    }
}
