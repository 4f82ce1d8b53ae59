//! Call records: times and classifies every external call of an attempt.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use domain::id::OrderId;
use domain::ports::{CallAction, CallError, CallOutcome, CallRecord, Claimed, Clock, System};
use domain::time::Timestamp;
use error_chain::chain;
use tracing::Instrument;

use crate::stall::STALL_THRESHOLD;
use crate::worker::Ports;
use crate::{FailureTime, ProcessState};

/// The calls that are not committed yet.
pub(crate) struct Calls {
    clock: Arc<dyn Clock>,
    process: Arc<ProcessState>,
    order: OrderId,
    /// Time of the claim by the store's clock and by our monotonic clock.
    claimed: (Timestamp, Duration),
    waiting: Mutex<Vec<CallRecord>>,
}

impl Calls {
    /// An empty record.
    pub(crate) fn new(
        ports: &Ports,
        process: &Arc<ProcessState>,
        claimed: &Claimed,
        started: Duration,
    ) -> Self {
        Self {
            clock: Arc::clone(&ports.clock),
            process: Arc::clone(process),
            order: claimed.job.order,
            claimed: (claimed.at, started),
            waiting: Mutex::default(),
        }
    }

    /// Takes the calls since the last time. A failed commit loses them: they are only missing in
    /// the timeline.
    pub(crate) fn take(&self) -> Vec<CallRecord> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the call, and records its time and outcome. While it is slow, another job may use this
    /// one's slot.
    pub(crate) async fn time<T>(
        &self,
        action: CallAction,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        self.in_one_slot(action.system(), self.record(action, call))
            .await
    }

    /// Makes the call, and records its time and outcome.
    pub(crate) async fn record<T>(
        &self,
        action: CallAction,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        let (at, started) = self.claimed;
        let sent = self.clock.monotonic();
        let span = tracing::info_span!(
            "call",
            "otel.name" = action.name(),
            "otel.kind" = "client",
            outcome = tracing::field::Empty,
        );
        let answer = call.instrument(span.clone()).await;
        span.record("outcome", CallOutcome::of(&answer).name());
        let record = CallRecord {
            at: at + sent.saturating_sub(started),
            took: self.clock.monotonic().saturating_sub(sent),
            action,
            outcome: CallOutcome::of(&answer),
        };
        if action.system() == System::Salesforce {
            self.update_breaker(&answer);
        }
        self.waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record);
        answer
    }

    /// Makes these calls of one job. After [`STALL_THRESHOLD`] without every answer, another job may
    /// use this one's slot.
    pub(crate) async fn in_one_slot<T>(&self, system: System, calls: impl Future<Output = T>) -> T {
        tokio::pin!(calls);
        tokio::select! {
            biased;
            answer = &mut calls => return answer,
            () = self.clock.sleep(STALL_THRESHOLD) => {}
        }
        let _stalled = self.process.stalls.enter(system);
        calls.await
    }

    fn update_breaker<T>(&self, answer: &Result<T, CallError>) {
        let breaker = &self.process.salesforce;
        let (claimed_at, started) = self.claimed;
        let monotonic = self.clock.monotonic();
        let now = FailureTime {
            at: claimed_at + monotonic.saturating_sub(started),
            monotonic,
        };
        match answer {
            Ok(_) | Err(CallError::Refused(_)) => breaker.succeeded(),
            Err(CallError::Denied { detail, .. }) => breaker.refused(now, detail),
            Err(error @ (CallError::NotSent { .. } | CallError::Unknown { .. })) => {
                breaker.failed(self.order, now, &chain(error).to_string());
            }
        }
    }
}
