//! Time and chance.

use std::time::Duration;

use async_trait::async_trait;

use crate::time::Timestamp;

/// The time, and waiting for it. Tests advance it instead of sleeping.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Now, UTC.
    fn now(&self) -> Timestamp;

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
