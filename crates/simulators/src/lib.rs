//! One faithful, fault-injecting network stand-in each for Salesforce and WHMCS.
mod clock;
mod door;
mod faults;
mod pubsub;
pub mod salesforce;
pub mod whmcs;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use faults::{Hold, Phase, When};
pub use pubsub::{Fields, wire};

/// Locks; a panic elsewhere must not hide behind a second one here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serialises by `Display`.
pub(crate) fn as_text<T: std::fmt::Display, S: serde::Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
