//! Calls to Salesforce and WHMCS as an order's timeline shows them.

use domain::key::JobId;
use domain::ports::CallRecord;

use crate::RecordedFact;

/// A call with its place in the order's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    /// By which job.
    pub job: JobId,
    /// Its number within the job, from 1. The oldest kept number shows how many were omitted before
    /// it.
    pub number: u64,
    /// The call.
    pub call: CallRecord,
}

/// Aligns the times of each job's calls with its recorded intents.
///
/// A call's time counts from the claim, measured by the worker's clock from when it began working;
/// a fact's time is the store's at its commit. So all calls of a job may appear early by the time
/// between claim and start. An effect is never called before its intent is recorded, so the first
/// such call reveals the offset.
pub fn align_calls(facts: &[RecordedFact], calls: &mut [RecordedCall]) {
    for of_job in calls.chunk_by_mut(|one, next| one.job == next.job) {
        let early = of_job.iter().enumerate().filter_map(|(n, made)| {
            let action = made.call.action;
            let first = of_job
                .iter()
                .position(|other| other.call.action == action)?;
            let intent = facts.iter().find(|recorded| {
                recorded.job == made.job && action.is_intended_by(&recorded.fact)
            })?;
            (first == n).then(|| intent.at.since(made.call.at))
        });
        let early = early.max().unwrap_or_default();
        for made in of_job {
            made.call.at = made.call.at + early;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::order::Fact;
    use domain::ports::{CallAction, CallOutcome};
    use domain::time::Timestamp;

    use super::*;

    #[test]
    fn calls_are_aligned_with_the_first_intent() {
        let job = |name: &str| JobId::new(name).unwrap();
        let made = |name: &str, number, action, at| RecordedCall {
            job: job(name),
            number,
            call: CallRecord {
                at: Timestamp::from_millis(at),
                took: Duration::from_millis(5),
                action,
                outcome: CallOutcome::Ok,
            },
        };
        let facts = [RecordedFact {
            at: Timestamp::from_millis(125),
            job: job("a"),
            fact: Fact::Accepting {
                at: Timestamp::from_millis(125),
            },
        }];
        let mut calls = [
            made("a", 1, CallAction::GetOrders, 90),
            made("a", 2, CallAction::AcceptOrder, 103),
            made("a", 3, CallAction::AcceptOrder, 300),
            made("b", 1, CallAction::AcceptOrder, 50),
        ];
        align_calls(&facts, &mut calls);
        let aligned = calls.each_ref().map(|made| made.call.at.as_millis());
        assert_eq!(aligned, [112, 125, 322, 50]);
        let again = calls.clone();
        align_calls(&facts, &mut calls);
        assert_eq!(calls, again);
    }
}
