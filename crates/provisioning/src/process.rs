//! State shared by the jobs of one worker process.

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
    /// The job, its order and the panic message.
    pub detail: String,
}

/// An intent whose call was not sent.
#[derive(Clone, Debug)]
pub(crate) struct Unsent {
    pub(crate) intent: Fact,
    /// The fact that withdraws it.
    pub(crate) withdrawal: Fact,
}

/// State shared by the jobs of one worker process.
#[derive(Debug)]
pub struct ProcessState {
    /// Circuit breaker of WHMCS.
    pub whmcs: CircuitBreaker,
    /// Circuit breaker of Salesforce.
    pub salesforce: CircuitBreaker,
    pub(crate) stalls: Stalls,
    unsent: Mutex<HashMap<OrderId, Unsent>>,
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
    /// Remembers that the call of this intent was not sent, because the store stopped answering or
    /// the lease expired first. Only a crash leaves the outcome unknown.
    pub(crate) fn mark_unsent(&self, order: OrderId, unsent: Unsent) {
        lock(&self.unsent).insert(order, unsent);
    }

    /// Takes the intent of this order whose call this process did not send.
    pub(crate) fn take_unsent(&self, order: OrderId) -> Option<Unsent> {
        lock(&self.unsent).remove(&order)
    }

    pub(crate) fn panicked(&self, panic: Panic) {
        *lock(&self.panics) = Some(panic);
    }

    /// The last attempt that panicked in this process.
    #[must_use]
    pub fn last_panic(&self) -> Option<Panic> {
        lock(&self.panics).clone()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
