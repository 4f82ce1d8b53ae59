//! Jobs: their states, and which requests become one.

mod admission;

use std::fmt;
use std::time::Duration;

use crate::id::OrderId;
use crate::key::{CorrelationId, EventId, IdemKey, JobId, Owner};
use crate::ports::Pending;
use crate::time::Timestamp;

pub use admission::{Admission, EarlierJob, admit};

/// What an event asks for: provision this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvisionRequest {
    /// The order.
    pub order: OrderId,
    /// `IdemKey__c`.
    pub idem_key: Option<IdemKey>,
    /// `CorrelationId__c`.
    pub correlation: Option<CorrelationId>,
    /// `RequestedBy__c`.
    pub requested_by: Option<String>,
    /// `Version__c`; 1 where the event has none.
    pub version: u32,
    /// When Salesforce created the event.
    pub created_at: Timestamp,
}

/// Where a job came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An event of the channel.
    Event,
    /// The sweep for activations whose event never arrived.
    Reconcile,
}

impl Source {
    /// Stable name for storage and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Reconcile => "reconcile",
        }
    }
}

/// A job to be enqueued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewJob {
    /// Derived from the cause, so the same cause yields the same id.
    pub id: JobId,
    /// Where it came from.
    pub source: Source,
    /// The event, for jobs that came from one.
    pub event: Option<EventId>,
    /// The order.
    pub order: OrderId,
    /// The request's key.
    pub idem_key: Option<IdemKey>,
    /// The correlation id, for display.
    pub correlation: CorrelationId,
    /// Who requested it, for display.
    pub requested_by: Option<String>,
    /// When it was requested, by Salesforce's clock.
    pub requested_at: Timestamp,
}

impl NewJob {
    /// The job for an activation whose event never arrived, found by a sweep at `swept_at`.
    ///
    /// Each sweep uses an id of its own, so that an earlier sweep's skipped job does not block this
    /// one. [`admit`] ensures that two sweeps create only one job.
    #[must_use]
    pub fn of_sweep(pending: &Pending, swept_at: Timestamp) -> Self {
        let activation = match &pending.idem_key {
            Some(key) => key.as_str().to_owned(),
            None => pending.since.as_millis().to_string(),
        };
        let id = JobId::of_sweep(pending.order, &activation, swept_at);
        let correlation = pending
            .correlation
            .clone()
            .or_else(|| CorrelationId::new(id.as_str()))
            .expect("a job's id is not empty");
        Self {
            id,
            source: Source::Reconcile,
            event: None,
            order: pending.order,
            idem_key: pending.idem_key.clone(),
            correlation,
            requested_by: None,
            requested_at: pending.since,
        }
    }

    /// The job for an event.
    #[must_use]
    pub fn of_event(event: &EventId, request: ProvisionRequest) -> Self {
        Self {
            id: JobId::of_event(event),
            source: Source::Event,
            event: Some(event.clone()),
            order: request.order,
            idem_key: request.idem_key,
            correlation: CorrelationId::or_event(request.correlation, event),
            requested_by: request.requested_by,
            requested_at: request.created_at,
        }
    }
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobOutcome {
    /// The order is provisioned and Salesforce shows it.
    Succeeded,
    /// The order failed and Salesforce shows it, or the order does not exist.
    Failed,
    /// The order was not `Activating`: nothing was written anywhere.
    Skipped,
    /// Another request took over the order: nothing more was written.
    Superseded,
}

impl JobOutcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::Superseded,
    ];

    /// The outcome of a job whose report was written.
    #[must_use]
    pub const fn of_report(failing: bool) -> Self {
        match failing {
            true => Self::Failed,
            false => Self::Succeeded,
        }
    }

    /// Stable name for storage and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Superseded => "superseded",
        }
    }
}

/// The state of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waiting for a worker.
    Queued,
    /// Leased by a worker.
    Leased(Lease),
    /// Finished. A job never leaves this state.
    Ended(JobOutcome),
}

impl JobState {
    /// Stable name for storage and metric labels.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased(_) => "leased",
            Self::Ended(outcome) => outcome.name(),
        }
    }
}

/// The right to work on a job for a limited time.
///
/// The lease token is unique per claim: owner and counter together. An attempt number or a counter
/// in the row could repeat after a crash and let a stale owner write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The order. No other claim on it is granted meanwhile.
    pub order: OrderId,
    /// The lease token, compared in every statement that writes under this lease.
    pub token: LeaseToken,
}

/// A lease token. Its ordering has no meaning but is stable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseToken(String);

impl LeaseToken {
    /// The token of the owner's `count`th claim.
    #[must_use]
    pub fn of(owner: &Owner, count: u64) -> Self {
        Self(format!("{owner}/{count}"))
    }

    /// A token read from the store.
    #[must_use]
    pub fn stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text of the token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The delay before the next try: exponential from `base` to `cap`, with full jitter.
///
/// `tries` is the number of failed tries so far; `fraction` is a random number from 0 to 1.
#[must_use]
pub fn backoff(base: Duration, cap: Duration, tries: u32, fraction: f64) -> Duration {
    let ceiling = base
        .saturating_mul(2_u32.saturating_pow(tries.min(30)))
        .min(cap);
    ceiling.mul_f64(fraction.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn backoff_never_exceeds_its_cap(tries in 0_u32..100, fraction in 0.0_f64..=1.0) {
            let cap = Duration::from_secs(30);
            prop_assert!(backoff(Duration::from_millis(500), cap, tries, fraction) <= cap);
        }
    }
}
