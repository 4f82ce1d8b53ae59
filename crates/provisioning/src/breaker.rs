//! Circuit breakers: when an external system denies us access or does not answer, calls to it are
//! suspended and only periodic probes are sent.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::OrderId;
use domain::time::Timestamp;
use tokio::sync::Notify;

use crate::measure;

/// Number of different orders that must fail in a row before a system counts as unavailable: a
/// single order may fail for reasons of its own.
const ORDERS_TO_OPEN: usize = 2;

/// The circuit breaker of one external system, in this process.
#[derive(Debug)]
pub struct CircuitBreaker {
    upstream: &'static str,
    state: Mutex<State>,
    probe_wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    /// Orders with a failed call since the last success.
    failed: BTreeSet<OrderId>,
}

#[derive(Debug)]
struct Open {
    view: OpenCircuit,
    /// Monotonic time of the newest refusal or failure.
    failed_at: Duration,
    /// Monotonic time from which one caller may try.
    next_try: Duration,
}

/// Why calls are suspended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenCircuit {
    /// Since when, by the store's clock.
    pub since: Timestamp,
    /// What is denied or why the system cannot be reached, and how to fix it.
    pub detail: String,
}

/// The time of a failure, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct FailureTime {
    /// By the store's clock.
    pub at: Timestamp,
    /// By the monotonic clock of this process.
    pub monotonic: Duration,
}

impl CircuitBreaker {
    pub(crate) fn new(upstream: &'static str) -> Self {
        Self {
            upstream,
            state: Mutex::default(),
            probe_wanted: Notify::new(),
        }
    }

    /// Records that the system denied us access: suspends calls at once. Logged once per opening.
    pub fn refused(&self, now: FailureTime, detail: &str) {
        self.open(&mut self.lock(), now, detail);
    }

    /// Records a failed call for this order. Suspends calls after failures of several orders in a
    /// row.
    pub(crate) fn failed(&self, order: OrderId, now: FailureTime, detail: &str) {
        let mut state = self.lock();
        state.failed.insert(order);
        if state.open.is_some() || state.failed.len() >= ORDERS_TO_OPEN {
            self.open(&mut state, now, detail);
        }
    }

    fn open(&self, state: &mut State, now: FailureTime, detail: &str) {
        if let Some(open) = &mut state.open {
            open.failed_at = now.monotonic;
            detail.clone_into(&mut open.view.detail);
            return;
        }
        tracing::error!(
            upstream = self.upstream,
            detail,
            "calls suspended until a probe succeeds"
        );
        measure::circuit_opened(self.upstream, 1);
        state.open = Some(Open {
            view: OpenCircuit {
                since: now.at,
                detail: detail.to_owned(),
            },
            failed_at: now.monotonic,
            next_try: now.monotonic,
        });
    }

    /// Records an answered call and resumes calls.
    pub fn succeeded(&self) {
        let mut state = self.lock();
        state.failed.clear();
        if state.open.take().is_some() {
            tracing::info!(upstream = self.upstream, "calls resumed");
        }
    }

    /// Why calls are suspended; `None` while they are not.
    #[must_use]
    pub fn opened(&self) -> Option<OpenCircuit> {
        self.lock().open.as_ref().map(|open| open.view.clone())
    }

    /// Monotonic time of the last failure; `None` while calls are not suspended.
    pub(crate) fn failed_at(&self) -> Option<Duration> {
        self.lock().open.as_ref().map(|open| open.failed_at)
    }

    /// Whether a call may be made now. While calls are suspended, one caller per `every` may; the
    /// error is the minimum delay.
    pub(crate) fn allow_call(&self, monotonic: Duration, every: Duration) -> Result<(), Duration> {
        let mut state = self.lock();
        let Some(open) = &mut state.open else {
            return Ok(());
        };
        if monotonic < open.next_try {
            return Err(open.next_try - monotonic);
        }
        open.next_try = monotonic + every;
        Ok(())
    }

    /// Requests a probe now, because the cause may have been fixed.
    pub fn request_probe(&self) {
        self.probe_wanted.notify_one();
    }

    /// Returns when a probe was requested.
    pub(crate) async fn probe_wanted(&self) {
        self.probe_wanted.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::order_id;

    const EVERY: Duration = Duration::from_secs(30);

    fn moment(seconds: u64) -> FailureTime {
        FailureTime {
            at: Timestamp::default(),
            monotonic: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn single_failing_order_does_not_open_the_circuit() {
        let breaker = CircuitBreaker::new("salesforce");
        breaker.failed(order_id(1), moment(1), "timeout");
        breaker.failed(order_id(1), moment(2), "timeout");
        assert_eq!(breaker.opened(), None);
        breaker.succeeded();
        breaker.failed(order_id(2), moment(3), "timeout");
        assert_eq!(breaker.opened(), None, "a success in between");
        breaker.failed(order_id(1), moment(4), "timeout");
        assert!(breaker.opened().is_some());
    }

    #[test]
    fn open_circuit_allows_one_call_per_interval() {
        let breaker = CircuitBreaker::new("salesforce");
        breaker.refused(moment(10), "login refused");
        let at = |seconds| breaker.allow_call(Duration::from_secs(seconds), EVERY);
        assert_eq!(at(10), Ok(()));
        assert_eq!(at(11), Err(Duration::from_secs(29)));
        assert_eq!(at(40), Ok(()));
        assert_eq!(at(40), Err(EVERY));
        breaker.succeeded();
        assert_eq!(at(41), Ok(()));
        assert_eq!(at(41), Ok(()));
    }
}
