//! What is forgotten, and what never.

use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::job::{Admission, Ending};
use domain::key::WhmcsOrderId;
use domain::order::{Fact, MarkerCheck};
use domain::ports::{Clock, Entry, JobIntake, JobQueue, JobReader, Pruned, SHORTEST_RETENTION};

use super::Subject;
use crate::{new_job, order_id};

impl<S: JobIntake + JobQueue + JobReader> Subject<'_, S> {
    /// Ended jobs, event ids and facts that bind nobody go when they are old; what tells that
    /// an order was provisioned stays, and so does all that is going on.
    pub async fn pruning_keeps_what_recognises_a_provisioned_order(&self) {
        let epoch = self.lead().await;
        let first = Entry::Job(new_job("e1", order_id(1), Some("k1")));
        let second = Entry::Job(new_job("e2", order_id(2), Some("k2")));
        let delivery = self.delivery(epoch, vec![first, second], 1);
        self.store.accept(&delivery).await.unwrap();
        let order = WhmcsOrderId(7);
        let provisioned = [
            Fact::Placing {
                at: self.clock.now(),
                watermark: WhmcsOrderId(0),
            },
            Fact::Placed { order },
            Fact::Verified {
                lines: Vec::new(),
                marker: MarkerCheck::Kept,
            },
        ];
        let refused = [
            Fact::Refused(Refusal::new(Code::OrderEmpty, "no products")),
            Fact::Reported,
        ];
        for claimed in self.claim(2).await {
            let (ending, facts) = match claimed.job.order == order_id(1) {
                true => (Ending::Succeeded, provisioned.as_slice()),
                false => (Ending::Failed, refused.as_slice()),
            };
            self.store.record(&claimed.lease, facts, &[]).await.unwrap();
            self.store
                .finish(&claimed.lease, ending, &[], &[])
                .await
                .unwrap();
        }
        let third = new_job("e3", order_id(3), None);
        self.enqueue(third).await;
        let hour = Duration::from_secs(3600);
        self.clock.advance(SHORTEST_RETENTION / 2);
        assert_eq!(
            self.store.prune(hour).await.unwrap(),
            Pruned::default(),
            "the bus may still deliver all of it again"
        );
        self.clock.advance(SHORTEST_RETENTION);
        let pruned = Pruned {
            jobs: 2,
            events: 2,
            facts: 2,
        };
        assert_eq!(self.store.prune(hour).await.unwrap(), pruned);
        assert_eq!(self.store.prune(hour).await.unwrap(), Pruned::default());
        assert_eq!(self.claim_one().await.job.order, order_id(3));
        assert!(self.store.facts_of(order_id(2)).await.unwrap().is_empty());
        // The order comes up again, as if for the first time, and is recognised.
        let again = new_job("e1", order_id(1), Some("k1"));
        assert_eq!(self.enqueue(again).await, Admission::Enqueued);
        let claimed = self.claim_one().await;
        assert_eq!(claimed.facts, provisioned);
        assert!(claimed.markers_kept.is_some());
    }
}
