//! The only source of randomness in a schedule.

use std::sync::Mutex;
use std::time::Duration;

use rand::{Rng as _, RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::trace::lock;

/// A generator that gives the same numbers on every platform.
#[derive(Debug)]
pub(crate) struct Rng(Mutex<ChaCha8Rng>);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha8Rng::seed_from_u64(seed)))
    }

    pub(crate) fn next_u64(&self) -> u64 {
        lock(&self.0).next_u64()
    }

    /// A number below `end`, which is not zero.
    pub(crate) fn below(&self, end: u64) -> u64 {
        lock(&self.0).random_range(0..end)
    }

    /// A number in `from..=to`.
    pub(crate) fn between(&self, from: u64, to: u64) -> u64 {
        lock(&self.0).random_range(from..=to.max(from))
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
