//! What the jobs of one worker process share.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::id::OrderId;
use domain::order::Fact;
use domain::time::Timestamp;

use crate::CircuitBreaker;
use crate::stall::Stalls;

/// An attempt that panicked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panic {
    /// When, by this machine's clock.
    pub at: Timestamp,
    /// Which job of which order, and with what words.
    pub detail: String,
}

/// What the jobs of one worker process share, and what outlives each of them.
#[derive(Debug)]
pub struct ProcessState {
    /// Whether WHMCS lets us in.
    pub whmcs: CircuitBreaker,
    /// Whether Salesforce answers.
    pub salesforce: CircuitBreaker,
    pub(crate) stalls: Stalls,
    unsent: Mutex<HashMap<OrderId, Fact>>,
    panics: Mutex<Option<Panic>>,
}

impl Default for ProcessState {
    fn default() -> Self {
        Self {
            whmcs: CircuitBreaker::new("whmcs"),
            salesforce: CircuitBreaker::new("salesforce"),
            stalls: Stalls::default(),
            unsent: Mutex::default(),
            panics: Mutex::default(),
        }
    }
}

impl ProcessState {
    /// Remembers that the call of this intent was never sent: the store stopped answering, or
    /// the lease ran out, before it could be. Only a process that died leaves doubt about it.
    pub(crate) fn never_sent(&self, order: OrderId, intent: Fact) {
        lock(&self.unsent).insert(order, intent);
    }

    /// The intent of this order whose call this process knows never to have sent.
    pub(crate) fn take_unsent(&self, order: OrderId) -> Option<Fact> {
        lock(&self.unsent).remove(&order)
    }

    pub(crate) fn panicked(&self, panic: Panic) {
        *lock(&self.panics) = Some(panic);
    }

    /// The attempt that panicked last in this process.
    #[must_use]
    pub fn last_panic(&self) -> Option<Panic> {
        lock(&self.panics).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
