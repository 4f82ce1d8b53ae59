//! Fake clocks and deterministic randomness.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{Clock, Entropy, SecretSource};
use domain::time::Timestamp;

const START: i64 = 1_767_225_600_000;

/// A clock that moves only by `advance` and `sleep`, which returns at once.
#[derive(Debug)]
pub struct FakeClock(AtomicI64);

impl Default for FakeClock {
    fn default() -> Self {
        Self(AtomicI64::new(START))
    }
}

impl FakeClock {
    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        self.0.fetch_add(millis, Ordering::SeqCst);
    }

    /// Total advance, for stores with a clock of their own.
    #[must_use]
    pub fn advanced(&self) -> Duration {
        self.now().since(Timestamp::from_millis(START))
    }
}

#[async_trait]
impl Clock for FakeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::default())
    }

    async fn sleep(&self, duration: Duration) {
        self.advance(duration);
        tokio::task::yield_now().await;
    }
}

/// Tokio's time, for tests that pause it, where it jumps from timer to timer and the code under
/// test may use tokio's timers too.
#[derive(Debug)]
pub struct PausedClock(tokio::time::Instant);

impl Default for PausedClock {
    fn default() -> Self {
        Self(tokio::time::Instant::now())
    }
}

#[async_trait]
impl Clock for PausedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_767_225_600_000) + self.0.elapsed()
    }

    fn monotonic(&self) -> Duration {
        self.now().since(Timestamp::default())
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl SecretSource for FakeEntropy {
    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        let number = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        secret[..8].copy_from_slice(&number);
        secret
    }
}

/// Counted tokens, and no jitter.
#[derive(Debug, Default)]
pub struct FakeEntropy(AtomicU64);

impl Entropy for FakeEntropy {
    fn token(&self) -> String {
        format!("token-{}", self.0.fetch_add(1, Ordering::SeqCst))
    }

    fn fraction(&self) -> f64 {
        1.0
    }
}
