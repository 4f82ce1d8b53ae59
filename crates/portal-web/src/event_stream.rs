//! Server-sent events, produced by polling.

use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::id::AccountId;
use domain::ports::Clock;
use domain::time::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::account_permits::{AccountPermit, AccountPermits};
use crate::problem::Problem;

/// Streams of customers that are open at once.
const MAX_CUSTOMERS: usize = 4032;
/// Streams of operators that are open at once: customers cannot use them up.
const MAX_OPERATORS: usize = 64;
/// A stream ends after this; the client reconnects and its credentials are checked again.
const MAX_AGE: Duration = Duration::from_secs(900);
/// When to try again after too many streams were open.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a poll returns: an event, nothing new, or the end of the stream.
pub(crate) type Polled = ControlFlow<(), Option<Event>>;

/// Opens event streams within limits and ends them at shutdown.
#[derive(Clone)]
pub(crate) struct EventStreams {
    clock: Arc<dyn Clock>,
    customers: Arc<Semaphore>,
    operators: Arc<Semaphore>,
    accounts: AccountPermits,
    shutdown: CancellationToken,
}

/// Permission for one open stream, given back when it is dropped.
pub(crate) struct StreamPermit {
    _total: OwnedSemaphorePermit,
    _account: Option<AccountPermit>,
}

impl EventStreams {
    /// At most `per_account` streams of one account are open at once.
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        per_account: NonZeroUsize,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            clock,
            customers: Arc::new(Semaphore::new(MAX_CUSTOMERS)),
            operators: Arc::new(Semaphore::new(MAX_OPERATORS)),
            accounts: AccountPermits::new(per_account),
            shutdown,
        }
    }

    /// Permission for a stream of an operator.
    pub(crate) fn for_operator(&self) -> Result<StreamPermit, Problem> {
        Ok(StreamPermit {
            _total: permit(&self.operators)?,
            _account: None,
        })
    }

    /// Permission for a stream of a customer; without an account only the total is limited.
    pub(crate) fn for_customer(&self, account: Option<AccountId>) -> Result<StreamPermit, Problem> {
        let total = permit(&self.customers)?;
        let limited = || Problem::rate_limited(RETRY_AFTER);
        let account = account.map(|account| self.accounts.take(account).ok_or_else(limited));
        Ok(StreamPermit {
            _total: total,
            _account: account.transpose()?,
        })
    }

    /// A stream of the events that `poll` returns, which receives the state of its previous
    /// call. It is called again at once after an event and after `interval` without one. The
    /// stream ends when the credentials of the client expire, and earlier after [`MAX_AGE`].
    pub(crate) fn open<S, F>(
        &self,
        permit: StreamPermit,
        expires_at: Option<Timestamp>,
        interval: Duration,
        state: S,
        poll: impl Fn(S) -> F + Send + 'static,
    ) -> Response
    where
        S: Send + 'static,
        F: Future<Output = (S, Polled)> + Send + 'static,
    {
        let left = expires_at.map(|at| at.since(self.clock.now()));
        let ends_at = self.clock.monotonic() + left.unwrap_or(MAX_AGE).min(MAX_AGE);
        let Self {
            clock, shutdown, ..
        } = self.clone();
        let stream =
            futures::stream::unfold((state, poll, permit), move |(state, poll, permit)| {
                let (clock, shutdown) = (Arc::clone(&clock), shutdown.clone());
                async move {
                    let mut state = state;
                    while clock.monotonic() < ends_at {
                        // On the heap only while it runs: most of the time a stream waits.
                        let (next, polled) = Box::pin(poll(state)).await;
                        state = next;
                        if let Some(event) = polled.continue_value()? {
                            return Some((Ok::<_, Infallible>(event), (state, poll, permit)));
                        }
                        let left = ends_at.saturating_sub(clock.monotonic());
                        let wait = clock.sleep(interval.min(left));
                        shutdown.run_until_cancelled(wait).await?;
                    }
                    None
                }
            });
        Sse::new(stream)
            .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
            .into_response()
    }
}

fn permit(permits: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Problem> {
    let permit = Arc::clone(permits).try_acquire_owned();
    permit.map_err(|_| Problem::unavailable("Too many event streams are open."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::FakeClock;

    fn streams(per_account: usize) -> EventStreams {
        let per_account = NonZeroUsize::new(per_account).unwrap();
        let clock = Arc::new(FakeClock::default());
        EventStreams::new(clock, per_account, CancellationToken::new())
    }

    #[test]
    fn customers_cannot_use_up_the_streams_of_operators() {
        let streams = streams(10);
        let open: Vec<_> = (0..MAX_CUSTOMERS)
            .map(|_| streams.for_customer(None).unwrap())
            .collect();
        assert!(streams.for_customer(None).is_err());
        assert!(streams.for_operator().is_ok());
        drop(open);
        assert!(streams.for_customer(None).is_ok());
    }

    #[test]
    fn closed_streams_give_their_permits_back() {
        let streams = streams(1);
        let account = AccountId::parse("001000000000001").ok();
        let open = streams.for_customer(account).unwrap();
        assert!(streams.for_customer(account).is_err());
        drop(open);
        assert!(streams.for_customer(account).is_ok());
        assert_eq!(streams.customers.available_permits(), MAX_CUSTOMERS);
    }
}
