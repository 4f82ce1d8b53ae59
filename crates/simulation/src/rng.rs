//! The only source of randomness in a schedule.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// SplitMix64: small, fast, and identical on every platform and in every release.
#[derive(Debug)]
pub(crate) struct Rng(AtomicU64);

const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        let rng = Self(AtomicU64::new(seed.wrapping_mul(STEP)));
        rng.next_u64();
        rng
    }

    pub(crate) fn next_u64(&self) -> u64 {
        let mut z = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`; zero when `end` is zero.
    pub(crate) fn below(&self, end: u64) -> u64 {
        self.next_u64() % end.max(1)
    }

    /// A number in `from..=to`.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        from + self.below(to.saturating_sub(from) + 1)
    }

    /// A duration of `from..=to` milliseconds.
    pub(crate) fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.between(from, to))
    }

    /// True with this probability, in thousandths.
    pub(crate) fn chance(&self, per_mille: u32) -> bool {
        per_mille > 0 && self.below(1000) < u64::from(per_mille)
    }
}
