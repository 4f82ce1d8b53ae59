//! Sweep for activations without an event.

use std::time::Duration;

use crate::JobQueueExt;
use domain::job::{Admission, JobOutcome, NewJob};
use domain::key::IdemKey;
use domain::ports::Pending;
use domain::time::Timestamp;

use operations::JobStore;

use super::Subject;
use crate::{new_job, order_id};

/// Start of the activation by Salesforce's clock, as in [`new_job`].
const BEGAN: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// The job of the `n`th sweep.
fn swept(n: u64, idem_key: Option<&str>, since: Timestamp) -> NewJob {
    let pending = Pending {
        order: order_id(1),
        idem_key: idem_key.and_then(IdemKey::new),
        correlation: None,
        since,
    };
    NewJob::of_sweep(&pending, BEGAN + Duration::from_secs(300 * n))
}

impl<S: JobStore> Subject<'_, S> {
    async fn end_one(&self, outcome: JobOutcome) {
        let claimed = self.claim_one().await;
        let ended = self.store.finish(&claimed.lease, outcome, &[], &[]);
        ended.await.unwrap();
    }

    /// An activation makes one job however often it is swept, and none after its job failed: a
    /// second attempt is the operator's decision.
    pub async fn repeated_sweep_enqueues_activation_once(&self) {
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

    /// A skipped or superseded job did nothing for the activation, so the next sweep enqueues
    /// another.
    pub async fn activation_with_skipped_job_is_swept_again(&self) {
        let event = new_job("e1", order_id(1), Some("k1"));
        assert_eq!(self.enqueue(event).await, Admission::Enqueued);
        self.end_one(JobOutcome::Skipped).await;
        let again = [
            JobOutcome::Superseded,
            JobOutcome::Skipped,
            JobOutcome::Failed,
        ];
        for (n, outcome) in (1..).zip(again) {
            let job = swept(n, Some("k1"), BEGAN);
            assert_eq!(self.enqueue(job).await, Admission::Enqueued);
            self.end_one(outcome).await;
        }
        let last = swept(9, Some("k1"), BEGAN);
        assert_eq!(self.enqueue(last).await, Admission::SameRequest);
    }
}
