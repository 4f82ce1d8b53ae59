//! How fast one customer may place orders.

use std::num::NonZeroU32;
use std::time::Duration;

use domain::id::AccountId;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

/// Orders at once, for a customer who has not placed any for a while.
pub(crate) const BURST: NonZeroU32 = NonZeroU32::new(200).expect("it is not zero");
/// Orders that come to be allowed in a second.
const PER_SECOND: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");
/// Customers that are remembered before those who have been quiet are forgotten.
const MANY: usize = 10_000;

/// The pace of every customer, within this process.
pub(crate) struct Pace(DefaultKeyedRateLimiter<AccountId>);

impl Pace {
    pub(crate) fn new() -> Self {
        Self(RateLimiter::keyed(
            Quota::per_second(PER_SECOND).allow_burst(BURST),
        ))
    }

    /// Counts an order of this customer.
    ///
    /// # Errors
    /// It is one too many; how long to wait.
    pub(crate) fn order(&self, account: AccountId) -> Result<(), Duration> {
        if self.0.len() > MANY {
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
        let pace = Pace::new();
        let hasty = AccountId::parse("001000000000001").unwrap();
        let other = AccountId::parse("001000000000002").unwrap();
        // Some become allowed while they are counted.
        let turned_away = (0..BURST.get() * 2).find_map(|_| pace.order(hasty).err());
        assert!(turned_away.is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert_eq!(pace.order(other), Ok(()));
    }
}
