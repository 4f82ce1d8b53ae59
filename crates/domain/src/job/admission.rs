//! Which requests become a job.

use crate::job::{Ending, NewJob, Source};
use crate::key::IdemKey;
use crate::time::Timestamp;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::OrderId;
    use crate::key::{CorrelationId, JobId};

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
}
