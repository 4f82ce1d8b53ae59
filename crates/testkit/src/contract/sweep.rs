//! What becomes of activations whose event never arrived.

use domain::job::{Admission, Ending, NewJob};
use domain::key::IdemKey;
use domain::ports::{Clock, JobIntake, JobQueue, JobReader, Pending};
use domain::time::Timestamp;

use super::Subject;
use crate::{new_job, order_id};

fn activation(idem_key: Option<&str>, since: Timestamp) -> NewJob {
    NewJob::of_sweep(&Pending {
        order: order_id(1),
        idem_key: idem_key.and_then(IdemKey::new),
        correlation: None,
        since,
    })
}

impl<S: JobIntake + JobQueue + JobReader> Subject<'_, S> {
    /// The same activation makes one job however often it is found, and none once a job of it
    /// has ended: a second attempt is the operator's.
    pub async fn an_activation_that_is_swept_up_twice_makes_one_job(&self) {
        let since = self.clock.now();
        let swept = activation(Some("k1"), since);
        assert_eq!(self.enqueue(swept.clone()).await, Admission::Enqueued);
        assert_eq!(self.enqueue(swept).await, Admission::SameDelivery);
        let event = new_job("late", order_id(1), Some("k1"));
        assert_eq!(self.enqueue(event).await, Admission::SameRequest);
        let claimed = self.claim_one().await;
        let ended = self.store.finish(&claimed.lease, Ending::Failed, &[], &[]);
        ended.await.unwrap();
        let again = activation(None, since);
        assert_eq!(self.enqueue(again).await, Admission::SameRequest);
        // By the store's time, which need not be ours.
        let asked_again = activation(None, claimed.at + super::TTL);
        assert_eq!(self.enqueue(asked_again).await, Admission::Enqueued);
    }
}
