//! Limit on the orders that one account creates.

use std::num::NonZeroU32;
use std::time::Duration;

use domain::id::AccountId;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Orders in one burst.
const BURST: NonZeroU32 = NonZeroU32::new(200).expect("not zero");
/// Sustained rate.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// Accounts that are tracked before idle ones are dropped.
const MAX_ACCOUNTS: usize = 10_000;

/// Token buckets by account, within this process.
pub(crate) struct OrderRateLimit(DefaultKeyedRateLimiter<AccountId>);

impl OrderRateLimit {
    pub(crate) fn new() -> Self {
        Self(RateLimiter::keyed(
            Quota::per_second(PER_SECOND).allow_burst(BURST),
        ))
    }

    /// Counts an order of this account.
    ///
    /// # Errors
    /// The limit is reached; how long to wait.
    pub(crate) fn check(&self, account: AccountId) -> Result<(), Duration> {
        if self.0.len() > MAX_ACCOUNTS {
            self.0.retain_recent();
        }
        self.0
            .check_key(&account)
            .map_err(|early| early.wait_time_from(DefaultClock::default().now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_limit_is_per_account() {
        let limit = OrderRateLimit::new();
        let hasty = AccountId::parse("001000000000001").unwrap();
        let other = AccountId::parse("001000000000002").unwrap();
        // Some become allowed while they are counted.
        let turned_away = (0..BURST.get() * 2).find_map(|_| limit.check(hasty).err());
        assert!(turned_away.is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(limit.check(other), Ok(()));
    }
}
