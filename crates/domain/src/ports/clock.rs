//! Time and chance.

use std::time::Duration;

use async_trait::async_trait;

use crate::time::Timestamp;

/// The time, and waiting for it. Tests advance it instead of sleeping.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now, UTC, as this machine believes. Another machine may believe otherwise, so nothing
    /// that two of them must agree on is decided by it.
    fn now(&self) -> Timestamp;

    /// How much time has passed since a moment that is fixed for this process. Only
    /// differences mean anything; it never goes back, whatever is done to the wall clock.
    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::default())
    }

    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}

/// Chance.
pub trait Entropy: Send + Sync {
    /// A token that nobody else ever gets: 128 random bits as text.
    fn token(&self) -> String;

    /// A number from 0 (inclusive) to 1, for jitter.
    fn fraction(&self) -> f64;
}
