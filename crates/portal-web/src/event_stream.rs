//! Server-sent events, produced by polling.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use domain::ports::Clock;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::problem::Problem;

/// Streams that are open at once.
const MAX_STREAMS: usize = 4096;
/// A stream ends after this; the client reconnects and its credentials are checked again.
const MAX_AGE: Duration = Duration::from_secs(900);

/// What a poll returns: an event, nothing new, or the end of the stream.
pub(crate) type Polled = ControlFlow<(), Option<Event>>;

/// Opens event streams within a limit and ends them at shutdown.
#[derive(Clone)]
pub(crate) struct EventStreams {
    clock: Arc<dyn Clock>,
    permits: Arc<Semaphore>,
    shutdown: CancellationToken,
}

impl EventStreams {
    pub(crate) fn new(clock: Arc<dyn Clock>, shutdown: CancellationToken) -> Self {
        Self {
            clock,
            permits: Arc::new(Semaphore::new(MAX_STREAMS)),
            shutdown,
        }
    }

    /// A stream of the events that `poll` returns, which receives the state of its previous
    /// call. It is called again at once after an event and after `interval` without one.
    pub(crate) fn open<S, F>(
        &self,
        interval: Duration,
        state: S,
        poll: impl Fn(S) -> F + Send + 'static,
    ) -> Result<Response, Problem>
    where
        S: Send + 'static,
        F: Future<Output = (S, Polled)> + Send + 'static,
    {
        let permit = Arc::clone(&self.permits)
            .try_acquire_owned()
            .map_err(|_| Problem::unavailable("Too many event streams are open."))?;
        let ends_at = self.clock.monotonic() + MAX_AGE;
        let Self {
            clock, shutdown, ..
        } = self.clone();
        let stream =
            futures::stream::unfold((state, poll, permit), move |(state, poll, permit)| {
                let (clock, shutdown) = (Arc::clone(&clock), shutdown.clone());
                async move {
                    let mut state = state;
                    while clock.monotonic() < ends_at {
                        let (next, polled) = poll(state).await;
                        state = next;
                        if let Some(event) = polled.continue_value()? {
                            return Some((Ok::<_, Infallible>(event), (state, poll, permit)));
                        }
                        let wait = clock.sleep(interval);
                        shutdown.run_until_cancelled(wait).await?;
                    }
                    None
                }
            });
        Ok(Sse::new(stream)
            .keep_alive(KeepAlive::new().interval(Duration::from_secs(15)))
            .into_response())
    }
}
