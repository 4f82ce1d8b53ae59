//! Delivery: what a job is, how it moves, and which requests become one.

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
    /// `Version__c`; 1 where the event names none.
    pub version: u32,
    /// When Salesforce made the event.
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
    /// Made from the cause, so that the same cause makes the same id.
    pub id: JobId,
    /// Where it came from.
    pub source: Source,
    /// The event, for jobs that came from one.
    pub event: Option<EventId>,
    /// The order.
    pub order: OrderId,
    /// The request's key.
    pub idem_key: Option<IdemKey>,
    /// For people.
    pub correlation: CorrelationId,
    /// Who asked, for people.
    pub requested_by: Option<String>,
    /// When Salesforce asked.
    pub requested_at: Timestamp,
}

impl NewJob {
    /// The job for an activation whose event never arrived, found by a sweep at `swept_at`.
    ///
    /// Each sweep makes an id of its own, so that an earlier sweep's job that was skipped does
    /// not stand in the way. That two sweeps make one job is seen to by [`admit`].
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

    /// The job that an event asks for.
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
    /// The order is provisioned and says so.
    Succeeded,
    /// The order failed and says so, or is not there.
    Failed,
    /// The order was not `Activating`: nothing was written anywhere.
    Skipped,
    /// The order went on without this attempt: nothing more was written.
    Superseded,
}

impl JobOutcome {
    /// Every ending.
    pub const ALL: [Self; 4] = [
        Self::Succeeded,
        Self::Failed,
        Self::Skipped,
        Self::Superseded,
    ];

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

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Waits for a worker.
    Queued,
    /// In a worker's hands.
    Leased(Lease),
    /// Over. A job never leaves this state.
    Ended(JobOutcome),
}

/// What can happen to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobMove {
    /// A worker takes it.
    Claim(Lease),
    /// Its worker gives it back, or its lease ran out.
    Release,
    /// Its worker ends it.
    Finish(JobOutcome),
}

/// A move that cannot follow the job's state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{attempted:?} cannot follow {state:?}")]
pub struct IllegalMove {
    /// The state.
    pub state: Box<JobState>,
    /// What was tried.
    pub attempted: Box<JobMove>,
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

    /// The state after a move: `queued → leased → ended`, and back by release.
    ///
    /// # Errors
    /// [`IllegalMove`] with both halves.
    pub fn moved(self, to: JobMove) -> Result<Self, IllegalMove> {
        match (self, to) {
            (Self::Queued, JobMove::Claim(lease)) => Ok(Self::Leased(lease)),
            (Self::Leased(_), JobMove::Release) => Ok(Self::Queued),
            (Self::Leased(_), JobMove::Finish(outcome)) => Ok(Self::Ended(outcome)),
            (state, attempted) => Err(IllegalMove {
                state: Box::new(state),
                attempted: Box::new(attempted),
            }),
        }
    }
}

/// The right to work on a job for a while.
///
/// The fence is unique for each claim, ever: owner and counter together. An attempt number
/// or a counter in the row could repeat after a crash and let a stale owner write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub job: JobId,
    /// The order, which no other claim may touch meanwhile.
    pub order: OrderId,
    /// The fencing token, compared in every statement that writes under this lease.
    pub token: LeaseToken,
}

/// A fencing token. Its order means nothing but is always the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseToken(String);

impl LeaseToken {
    /// The token of the owner's `count`th claim.
    #[must_use]
    pub fn of(owner: &Owner, count: u64) -> Self {
        Self(format!("{owner}/{count}"))
    }

    /// A token as it was stored.
    #[must_use]
    pub fn stored(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The token's text.
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

/// How long to wait before the next try: exponential from `base` to `cap`, with full jitter.
///
/// `tries` counts those that failed so far; `fraction` is a random number from 0 to 1.
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

    #[test]
    fn a_job_moves_from_queued_over_leased_to_its_end_and_never_back() {
        let lease = Lease {
            job: JobId::of_event(&EventId::new("e").unwrap()),
            order: OrderId::parse("801000000000001").unwrap(),
            token: LeaseToken::of(&Owner::new("w").unwrap(), 1),
        };
        let states = [
            JobState::Queued,
            JobState::Leased(lease.clone()),
            JobState::Ended(JobOutcome::Succeeded),
            JobState::Ended(JobOutcome::Failed),
        ];
        let moves = [
            JobMove::Claim(lease),
            JobMove::Release,
            JobMove::Finish(JobOutcome::Failed),
        ];
        let legal: Vec<_> = states
            .iter()
            .flat_map(|state| {
                moves
                    .iter()
                    .map(move |to| state.clone().moved(to.clone()).is_ok())
            })
            .collect();
        #[rustfmt::skip]
        assert_eq!(legal, [
            true, false, false,
            false, true, true,
            false, false, false,
            false, false, false,
        ]);
    }

    proptest! {
        #[test]
        fn a_wait_never_exceeds_its_cap(tries in 0_u32..100, fraction in 0.0_f64..=1.0) {
            let cap = Duration::from_secs(30);
            prop_assert!(backoff(Duration::from_millis(500), cap, tries, fraction) <= cap);
        }
    }
}
