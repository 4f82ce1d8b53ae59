//! Which requests become a job.

use crate::job::{JobOutcome, NewJob, Source};
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
pub struct EarlierJob<'a> {
    /// Its request's key.
    pub idem_key: Option<&'a IdemKey>,
    /// How it ended; `None` while it is queued or running.
    pub outcome: Option<JobOutcome>,
    /// When Salesforce asked for it, by Salesforce's clock.
    pub requested_at: Timestamp,
}

/// Whether a new request becomes a job, given the order's earlier jobs, oldest first.
#[must_use]
pub fn admit(job: &NewJob, earlier: &[EarlierJob<'_>]) -> Admission {
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
fn is_known_event(job: &NewJob, earlier: &[EarlierJob<'_>]) -> bool {
    let last_failed = earlier
        .last()
        .is_some_and(|job| job.outcome == Some(JobOutcome::Failed));
    let known = |earlier: &EarlierJob<'_>| {
        earlier.idem_key == job.idem_key.as_ref()
            && matches!(earlier.outcome, None | Some(JobOutcome::Succeeded))
    };
    job.idem_key.is_some() && !last_failed && earlier.iter().any(known)
}

/// An activation that the sweep has found had its job when one is queued or running, when one of
/// its key succeeded, or when one that was requested since the activation began has succeeded or
/// failed: a second attempt is only ever the operator's. Both times are Salesforce's. Jobs that
/// were skipped or superseded did nothing for the activation and say nothing of it.
fn is_known_activation(job: &NewJob, earlier: &[EarlierJob<'_>]) -> bool {
    earlier.iter().any(|earlier| {
        let same_key = job.idem_key.is_some() && earlier.idem_key == job.idem_key.as_ref();
        let since_it_began = earlier.requested_at >= job.requested_at;
        match earlier.outcome {
            None => true,
            Some(JobOutcome::Succeeded) => same_key || since_it_began,
            Some(JobOutcome::Failed) => since_it_began,
            Some(JobOutcome::Skipped | JobOutcome::Superseded) => false,
        }
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

    const REQUESTED: Timestamp = Timestamp::from_millis(5_000);

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

    fn check(
        job: &NewJob,
        earlier: &[(Option<&IdemKey>, Option<JobOutcome>)],
        expected: Admission,
    ) {
        let earlier: Vec<_> = earlier
            .iter()
            .map(|(idem_key, outcome)| EarlierJob {
                idem_key: *idem_key,
                outcome: *outcome,
                requested_at: REQUESTED,
            })
            .collect();
        assert_eq!(admit(job, &earlier), expected, "{job:?} after {earlier:?}");
    }

    #[test]
    fn the_same_request_is_dropped_and_an_operators_retry_is_not() {
        use Admission::{Enqueued, SameRequest};
        use JobOutcome::{Failed, Skipped, Succeeded, Superseded};
        let (k, other) = (key("k1"), key("k2"));
        let same = request(Source::Event, Some(&k), 0);
        check(&same, &[], Enqueued);
        check(&same, &[(Some(&k), None)], SameRequest);
        check(&same, &[(Some(&k), Some(Succeeded))], SameRequest);
        for outcome in [Failed, Skipped, Superseded] {
            check(&same, &[(Some(&k), Some(outcome))], Enqueued);
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
    fn only_a_job_that_did_something_makes_an_activation_known_to_the_sweep() {
        use Admission::{Enqueued, SameRequest};
        use JobOutcome::{Failed, Skipped, Succeeded, Superseded};
        let (k, other) = (key("k1"), key("k2"));
        let began = REQUESTED.as_millis();
        for swept in [
            request(Source::Reconcile, Some(&k), began),
            request(Source::Reconcile, None, began),
        ] {
            check(&swept, &[], Enqueued);
            // Queued or running, whatever its key.
            check(&swept, &[(Some(&other), None)], SameRequest);
            // Requested since the activation began, by Salesforce's clock.
            for outcome in [Succeeded, Failed] {
                check(&swept, &[(Some(&k), Some(outcome))], SameRequest);
                check(&swept, &[(Some(&other), Some(outcome))], SameRequest);
                check(&swept, &[(None, Some(outcome))], SameRequest);
            }
            // Jobs that did nothing for the activation say nothing of it.
            for outcome in [Skipped, Superseded] {
                check(&swept, &[(Some(&k), Some(outcome))], Enqueued);
                check(&swept, &[(None, Some(outcome))], Enqueued);
            }
        }
        // Requested before the activation began.
        let keyed = request(Source::Reconcile, Some(&k), began + 1);
        check(&keyed, &[(Some(&k), Some(Succeeded))], SameRequest);
        check(&keyed, &[(Some(&other), Some(Succeeded))], Enqueued);
        for outcome in [Failed, Skipped, Superseded] {
            check(&keyed, &[(Some(&k), Some(outcome))], Enqueued);
        }
        let keyless = request(Source::Reconcile, None, began + 1);
        check(&keyless, &[(None, Some(Succeeded))], Enqueued);
        check(&keyless, &[(None, Some(Failed))], Enqueued);
    }
}
