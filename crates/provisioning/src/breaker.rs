//! Circuit breakers: when an outside system refuses us or does not answer, calls to it are
//! suspended, and one harmless call now and then asks for all jobs.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::id::OrderId;
use domain::time::Timestamp;
use tokio::sync::Notify;

use crate::measure;

/// So many orders in a row must have failed at a system before it counts as away: one order
/// alone may fail for reasons of its own.
const ORDERS_TO_OPEN: usize = 2;

/// Whether calls to one outside system are suspended, as far as this process knows.
#[derive(Debug)]
pub struct CircuitBreaker {
    upstream: &'static str,
    state: Mutex<State>,
    probe_wanted: Notify,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    /// Orders whose last call failed, since any call succeeded.
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
    /// What the system refuses or why it cannot be reached, and the fix.
    pub detail: String,
}

/// The moment of a failure, on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
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

    /// The system refuses us as such: suspends calls at once. Logged once, however many calls
    /// are refused.
    pub fn refused(&self, now: Moment, detail: &str) {
        self.open(&mut self.lock(), now, detail);
    }

    /// The system did not answer this order. Suspends calls when that happens to several orders
    /// in a row.
    pub(crate) fn failed(&self, order: OrderId, now: Moment, detail: &str) {
        let mut state = self.lock();
        state.failed.insert(order);
        if state.open.is_some() || state.failed.len() >= ORDERS_TO_OPEN {
            self.open(&mut state, now, detail);
        }
    }

    fn open(&self, state: &mut State, now: Moment, detail: &str) {
        if let Some(open) = &mut state.open {
            open.failed_at = now.monotonic;
            detail.clone_into(&mut open.view.detail);
            return;
        }
        tracing::error!(
            upstream = self.upstream,
            detail,
            "calls suspended; waiting orders go on once a probe succeeds"
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

    /// A call was answered: calls go on.
    pub fn succeeded(&self) {
        let mut state = self.lock();
        state.failed.clear();
        if state.open.take().is_some() {
            tracing::info!(upstream = self.upstream, "calls resumed");
        }
    }

    /// Why calls are suspended, while they are.
    #[must_use]
    pub fn opened(&self) -> Option<OpenCircuit> {
        self.lock().open.as_ref().map(|open| open.view.clone())
    }

    /// When the system failed or refused us last, on the monotonic clock; `None` while calls go on.
    pub(crate) fn failed_at(&self) -> Option<Duration> {
        self.lock().open.as_ref().map(|open| open.failed_at)
    }

    /// Whether a call may be made now. While calls are suspended, one caller in `every` may,
    /// and the others are told how long to wait at least.
    pub(crate) fn admits(&self, monotonic: Duration, every: Duration) -> Result<(), Duration> {
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

    /// Asks for a probe now: somebody says that the cause is gone.
    pub fn request_probe(&self) {
        self.probe_wanted.notify_one();
    }

    /// Returns when somebody asked for a probe.
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

    fn moment(seconds: u64) -> Moment {
        Moment {
            at: Timestamp::default(),
            monotonic: Duration::from_secs(seconds),
        }
    }

    #[test]
    fn one_failing_order_does_not_suspend_the_calls_of_others() {
        let breaker = CircuitBreaker::new("salesforce");
        breaker.failed(order_id(1), moment(1), "timeout");
        breaker.failed(order_id(1), moment(2), "timeout");
        assert_eq!(breaker.opened(), None);
        breaker.succeeded();
        breaker.failed(order_id(2), moment(3), "timeout");
        assert_eq!(breaker.opened(), None, "an answer in between");
        breaker.failed(order_id(1), moment(4), "timeout");
        assert!(breaker.opened().is_some());
    }

    #[test]
    fn while_open_one_caller_per_interval_may_try() {
        let breaker = CircuitBreaker::new("salesforce");
        breaker.refused(moment(10), "login refused");
        let at = |seconds| breaker.admits(Duration::from_secs(seconds), EVERY);
        assert_eq!(at(10), Ok(()));
        assert_eq!(at(11), Err(Duration::from_secs(29)));
        assert_eq!(at(40), Ok(()));
        assert_eq!(at(40), Err(EVERY));
        breaker.succeeded();
        assert_eq!(at(41), Ok(()));
        assert_eq!(at(41), Ok(()));
    }
}
