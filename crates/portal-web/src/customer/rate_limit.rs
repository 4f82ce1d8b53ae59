//! Limits on what accounts do, within this process.

use std::sync::Arc;
use std::time::Duration;

use domain::id::AccountId;
use domain::ports::Clock;
use governor::RateLimiter;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;

use crate::config::Rate;

/// Accounts that are tracked before idle ones are dropped.
const MAX_ACCOUNTS: usize = 10_000;

/// The injected clock, for the rate limiter.
#[derive(Clone)]
pub(super) struct MonotonicClock(pub(super) Arc<dyn Clock>);

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

/// A limit on each account's requests of one kind.
pub(super) struct AccountLimit {
    limiter: Limiter,
    clock: Arc<dyn Clock>,
}

impl AccountLimit {
    pub(super) fn new(rate: Rate, clock: Arc<dyn Clock>) -> Self {
        let limiter_clock = MonotonicClock(Arc::clone(&clock));
        let accounts = DefaultKeyedStateStore::default();
        Self {
            limiter: RateLimiter::new(rate.quota(), accounts, limiter_clock),
            clock,
        }
    }

    /// Counts a request of this account; without an account there is no limit.
    ///
    /// # Errors
    /// The limit is reached; how long to wait.
    pub(super) fn check(&self, account: Option<AccountId>) -> Result<(), Duration> {
        let Some(account) = account else {
            return Ok(());
        };
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
        let limit = AccountLimit::new(Rate::parse("600/m").unwrap(), clock.clone());
        let [busy, idle] =
            ["001000000000001", "001000000000002"].map(|account| AccountId::parse(account).ok());
        for _ in 0..600 {
            assert_eq!(limit.check(busy), Ok(()));
        }
        assert_eq!(limit.check(busy), Err(Duration::from_millis(100)));
        assert_eq!(limit.check(idle), Ok(()));
        assert_eq!(limit.check(None), Ok(()));
        clock.advance(Duration::from_millis(100));
        assert_eq!(limit.check(busy), Ok(()));
    }
}
