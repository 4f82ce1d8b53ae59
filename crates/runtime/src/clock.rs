//! The system clock and randomness.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use domain::ports::{Clock, Entropy, SecretSource};
use domain::time::Timestamp;

/// The system clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        START.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Randomness from the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl SecretSource for OsEntropy {
    fn secret(&self) -> [u8; 32] {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).expect("the operating system has random bytes");
        secret
    }
}

impl Entropy for OsEntropy {
    fn token(&self) -> String {
        uuid::Uuid::new_v4().simple().to_string()
    }

    fn fraction(&self) -> f64 {
        rand::random()
    }
}
