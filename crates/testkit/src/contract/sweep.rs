//! What becomes of activations whose event never arrived.

use std::time::Duration;

use domain::job::{Admission, JobOutcome, NewJob};
use domain::key::IdemKey;
use domain::ports::{JobIntake, JobQueue, JobReader, Pending};
use domain::time::Timestamp;

use super::Subject;
use crate::{new_job, order_id};

/// When the activation began, by Salesforce's clock: that of [`new_job`]'s requests.
const BEGAN: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// The job that the `n`th sweep makes.
fn swept(n: u64, idem_key: Option<&str>, since: Timestamp) -> NewJob {
    let pending = Pending {
        order: order_id(1),
        idem_key: idem_key.and_then(IdemKey::new),
        correlation: None,
        since,
    };
    NewJob::of_sweep(&pending, BEGAN + Duration::from_secs(300 * n))
}

impl<S: JobIntake + JobQueue + JobReader> Subject<'_, S> {
    async fn end_one(&self, outcome: JobOutcome) {
        let claimed = self.claim_one().await;
        let ended = self.store.finish(&claimed.lease, outcome, &[], &[]);
        ended.await.unwrap();
    }

    /// The same activation makes one job however often it is found, and none once a job of it
    /// has failed: a second attempt is the operator's.
    pub async fn an_activation_that_is_swept_up_twice_makes_one_job(&self) {
        let first = swept(1, Some("k1"), BEGAN);
        assert_eq!(self.enqueue(first.clone()).await, Admission::Enqueued);
        assert_eq!(self.enqueue(first).await, Admission::SameDelivery);
        let second = swept(2, Some("k1"), BEGAN);
        assert_eq!(self.enqueue(second).await, Admission::SameRequest);
        let event = new_job("late", order_id(1), Some("k1"));
        assert_eq!(self.enqueue(event).await, Admission::SameRequest);
        self.end_one(JobOutcome::Failed).await;
        for key in [Some("k1"), None] {
            let again = swept(3, key, BEGAN);
            assert_eq!(self.enqueue(again).await, Admission::SameRequest);
        }
        let asked_again = swept(4, Some("k2"), BEGAN + Duration::from_millis(1));
        assert_eq!(self.enqueue(asked_again).await, Admission::Enqueued);
        self.end_one(JobOutcome::Succeeded).await;
        let done = swept(5, Some("k2"), BEGAN + Duration::from_secs(1));
        assert_eq!(self.enqueue(done).await, Admission::SameRequest);
    }

    /// A job that was skipped or superseded did nothing for the activation: the next sweep makes
    /// another.
    pub async fn an_activation_whose_job_did_nothing_is_swept_up_again(&self) {
        let event = new_job("e1", order_id(1), Some("k1"));
        assert_eq!(self.enqueue(event).await, Admission::Enqueued);
        self.end_one(JobOutcome::Skipped).await;
        let again = [JobOutcome::Superseded, JobOutcome::Skipped, JobOutcome::Failed];
        for (n, outcome) in (1..).zip(again) {
            let job = swept(n, Some("k1"), BEGAN);
            assert_eq!(self.enqueue(job).await, Admission::Enqueued);
            self.end_one(outcome).await;
        }
        let last = swept(9, Some("k1"), BEGAN);
        assert_eq!(self.enqueue(last).await, Admission::SameRequest);
    }
}
