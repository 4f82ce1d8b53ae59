//! Time and randomness.

use std::time::Duration;

use async_trait::async_trait;

use crate::time::Timestamp;

/// The clock and sleeping. Tests advance it instead of sleeping.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait Clock: Send + Sync {
    /// The current UTC time by this machine's clock. Clocks differ, so nothing that two machines
    /// must agree on depends on it.
    fn now(&self) -> Timestamp;

    /// Time elapsed since a fixed moment of this process. Only differences are meaningful; it never
    /// goes back, whatever happens to the wall clock.
    fn monotonic(&self) -> Duration;

    /// Returns after `duration`.
    async fn sleep(&self, duration: Duration);
}

/// Randomness that secrets are made of.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait SecretSource: Send + Sync {
    /// 256 bits that nobody can guess.
    fn secret(&self) -> [u8; 32];
}

/// Randomness.
#[cfg_attr(feature = "mocks", mockall::automock)]
pub trait Entropy: Send + Sync {
    /// A unique token: 128 random bits as text.
    fn token(&self) -> String;

    /// A number from 0 (inclusive) to 1, for jitter.
    fn fraction(&self) -> f64;
}
