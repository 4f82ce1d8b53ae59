//! Delivery: what a job is, how it moves, and which requests become one.

use std::fmt;
use std::time::Duration;

use crate::id::OrderId;
use crate::key::{CorrelationId, EventId, IdemKey, JobId, Owner};
use crate::ports::Pending;
use crate::time::Timestamp;

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
    /// The job for an activation whose event never arrived: the same activation makes the
    /// same job, whoever finds it.
    #[must_use]
    pub fn of_sweep(pending: &Pending) -> Self {
        let activation = match &pending.idem_key {
            Some(key) => key.as_str().to_owned(),
            None => pending.since.as_millis().to_string(),
        };
        let id = JobId::of_sweep(pending.order, &activation);
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
pub enum Ending {
    /// The order is provisioned and says so.
    Succeeded,
    /// The order failed and says so, or is not there.
    Failed,
    /// The order was not `Activating`: nothing was written anywhere.
    Skipped,
    /// The order went on without this attempt: nothing more was written.
    Superseded,
}

impl Ending {
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
    Ended(Ending),
}

/// What can happen to a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobMove {
    /// A worker takes it.
    Claim(Lease),
    /// Its worker gives it back, or its lease ran out.
    Release,
    /// Its worker ends it.
    Finish(Ending),
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
            Self::Ended(ending) => ending.name(),
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
            (Self::Leased(_), JobMove::Finish(ending)) => Ok(Self::Ended(ending)),
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
    pub fence: Fence,
}

/// A fencing token. Its order means nothing but is always the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(String);

impl Fence {
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

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What became of a request that was handed to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    /// A job was made.
    Enqueued,
    /// This event was accepted before.
    SameDelivery,
    /// The same request is queued, running or done.
    SameRequest,
    /// It went to the dead letters.
    DeadLettered,
}

/// What must be known of an earlier job of the same order to judge a new request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier<'a> {
    /// Its request's key.
    pub idem_key: Option<&'a IdemKey>,
    /// How it ended; `None` while it is queued or running.
    pub ending: Option<Ending>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// Whether a new request becomes a job, given the order's earlier jobs, oldest first.
#[must_use]
pub fn admit(job: &NewJob, earlier: &[Earlier<'_>]) -> Admission {
    let known = match job.source {
        Source::Event => is_known_event(job, earlier),
        Source::Reconcile => is_known_activation(job, earlier),
    };
    match known {
        true => Admission::SameRequest,
        false => Admission::Enqueued,
    }
}

/// The same key as a job that is queued, running or succeeded is the same request; but when
/// the order's last job failed, a new event is the operator's retry, whatever its key.
fn is_known_event(job: &NewJob, earlier: &[Earlier<'_>]) -> bool {
    let last_failed = earlier
        .last()
        .is_some_and(|job| job.ending == Some(Ending::Failed));
    let known = |earlier: &Earlier<'_>| {
        earlier.idem_key == job.idem_key.as_ref()
            && matches!(earlier.ending, None | Some(Ending::Succeeded))
    };
    job.idem_key.is_some() && !last_failed && earlier.iter().any(known)
}

/// An activation that the sweep has found had its job when one is still on its way, carries
/// its key, or has ended since it began: a second attempt is only ever the operator's. A job
/// that was superseded gave way to this very activation and says nothing of it.
fn is_known_activation(job: &NewJob, earlier: &[Earlier<'_>]) -> bool {
    earlier.iter().any(|earlier| {
        let same_key = job.idem_key.is_some() && earlier.idem_key == job.idem_key.as_ref();
        let ended_since = earlier.ended_at.is_some_and(|at| at >= job.requested_at)
            && earlier.ending != Some(Ending::Superseded);
        earlier.ending.is_none() || same_key || ended_since
    })
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

    fn key(text: &str) -> IdemKey {
        IdemKey::new(text).unwrap()
    }

    const ENDED: Timestamp = Timestamp::from_millis(5_000);

    fn request(source: Source, idem_key: Option<&IdemKey>, at: i64) -> NewJob {
        NewJob {
            id: JobId::new("new").unwrap(),
            source,
            event: None,
            order: OrderId::parse("801000000000001").unwrap(),
            idem_key: idem_key.cloned(),
            correlation: CorrelationId::new("c").unwrap(),
            requested_by: None,
            requested_at: Timestamp::from_millis(at),
        }
    }

    fn check(job: &NewJob, earlier: &[(Option<&IdemKey>, Option<Ending>)], expected: Admission) {
        let earlier: Vec<_> = earlier
            .iter()
            .map(|(idem_key, ending)| Earlier {
                idem_key: *idem_key,
                ending: *ending,
                ended_at: ending.map(|_| ENDED),
            })
            .collect();
        assert_eq!(admit(job, &earlier), expected, "{job:?} after {earlier:?}");
    }

    #[test]
    fn the_same_request_is_dropped_and_an_operators_retry_is_not() {
        use Admission::{Enqueued, SameRequest};
        use Ending::{Failed, Skipped, Succeeded, Superseded};
        let (k, other) = (key("k1"), key("k2"));
        let same = request(Source::Event, Some(&k), 0);
        check(&same, &[], Enqueued);
        check(&same, &[(Some(&k), None)], SameRequest);
        check(&same, &[(Some(&k), Some(Succeeded))], SameRequest);
        for ending in [Failed, Skipped, Superseded] {
            check(&same, &[(Some(&k), Some(ending))], Enqueued);
        }
        let new = request(Source::Event, Some(&other), 0);
        check(&new, &[(Some(&k), None)], Enqueued);
        let keyless = request(Source::Event, None, 0);
        check(&keyless, &[(None, None)], Enqueued);
        let (succeeded, failed) = ((Some(&k), Some(Succeeded)), (Some(&other), Some(Failed)));
        check(&same, &[succeeded, failed], Enqueued);
        check(
            &same,
            &[(Some(&k), Some(Failed)), (Some(&k), None)],
            SameRequest,
        );
    }

    #[test]
    fn the_sweep_never_starts_a_second_attempt() {
        use Admission::{Enqueued, SameRequest};
        let (k, other) = (key("k1"), key("k2"));
        let later = ENDED.as_millis() + 1;
        let keyed = request(Source::Reconcile, Some(&k), later);
        check(&keyed, &[], Enqueued);
        check(&keyed, &[(Some(&other), None)], SameRequest);
        for ending in Ending::ALL {
            check(&keyed, &[(Some(&k), Some(ending))], SameRequest);
            check(&keyed, &[(Some(&other), Some(ending))], Enqueued);
        }
        let keyless = request(Source::Reconcile, None, later);
        check(&keyless, &[(None, Some(Ending::Failed))], Enqueued);
        let before = request(Source::Reconcile, None, ENDED.as_millis());
        check(&before, &[(None, Some(Ending::Failed))], SameRequest);
        // The job of an older key was superseded by the activation that the sweep has found.
        let meanwhile = request(Source::Reconcile, Some(&other), ENDED.as_millis());
        check(
            &meanwhile,
            &[(Some(&k), Some(Ending::Superseded))],
            Enqueued,
        );
    }

    #[test]
    fn a_job_moves_from_queued_over_leased_to_its_end_and_never_back() {
        let lease = Lease {
            job: JobId::of_event(&EventId::new("e").unwrap()),
            order: OrderId::parse("801000000000001").unwrap(),
            fence: Fence::of(&Owner::new("w").unwrap(), 1),
        };
        let states = [
            JobState::Queued,
            JobState::Leased(lease.clone()),
            JobState::Ended(Ending::Succeeded),
            JobState::Ended(Ending::Failed),
        ];
        let moves = [
            JobMove::Claim(lease),
            JobMove::Release,
            JobMove::Finish(Ending::Failed),
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
