//! Retention: what is pruned and what is kept.

use std::time::Duration;

use crate::JobQueueExt;
use domain::failure::{Code, Refusal};
use domain::job::{Admission, JobOutcome};
use domain::key::WhmcsOrderId;
use domain::order::{Fact, MarkerCheck};
use domain::ports::{Clock, Entry};
use operations::{AUDIT_RETENTION, AdminCommand, JobStore, MIN_RETENTION, Pruned};

use super::Subject;
use crate::{dead_letter, new_job, order_id};

impl<S: JobStore> Subject<'_, S> {
    /// Old finished jobs, event ids and unneeded facts are pruned; facts that identify a
    /// provisioned order and everything live are kept.
    pub async fn pruning_keeps_facts_of_provisioned_orders(&self) {
        let epoch = self.lead().await;
        let first = Entry::Job(new_job("e1", order_id(1), Some("k1")));
        let second = Entry::Job(new_job("e2", order_id(2), Some("k2")));
        self.accept(epoch, vec![first, second], 1).await;
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
            let (outcome, facts) = match claimed.job.order == order_id(1) {
                true => (JobOutcome::Succeeded, provisioned.as_slice()),
                false => (JobOutcome::Failed, refused.as_slice()),
            };
            self.store.record(&claimed.lease, facts, &[]).await.unwrap();
            self.store
                .finish(&claimed.lease, outcome, &[], &[])
                .await
                .unwrap();
        }
        let third = new_job("e3", order_id(3), None);
        self.enqueue(third).await;
        let hour = Duration::from_secs(3600);
        self.clock.advance(MIN_RETENTION / 2);
        assert_eq!(
            self.store.prune(hour).await.unwrap(),
            Pruned::default(),
            "the bus may still deliver all of it again"
        );
        self.clock.advance(MIN_RETENTION);
        let pruned = Pruned {
            jobs: 2,
            events: 2,
            facts: 2,
            ..Pruned::default()
        };
        assert_eq!(self.store.prune(hour).await.unwrap(), pruned);
        assert_eq!(self.store.prune(hour).await.unwrap(), Pruned::default());
        assert_eq!(self.claim_one().await.job.order, order_id(3));
        assert!(self.store.facts_of(order_id(2)).await.unwrap().is_empty());
        // The order is requested again and recognized.
        let again = new_job("e1", order_id(1), Some("k1"));
        assert_eq!(self.enqueue(again).await, Admission::Enqueued);
        let claimed = self.claim_one().await;
        assert_eq!(claimed.facts, provisioned);
        assert!(claimed.marker_proof.is_some());
    }

    async fn left(&self) -> [usize; 3] {
        let dead_letters = self.store.dead_letters(false, None, 9).await.unwrap();
        let gaps = self.store.gaps(9).await.unwrap();
        let audit = self.store.audit(9).await.unwrap();
        [dead_letters.len(), gaps.len(), audit.len()]
    }

    /// Open dead letters and the newest gap are kept; audit log entries are kept longer.
    pub async fn pruning_removes_closed_dead_letters_gaps_and_audit_entries(&self) {
        let epoch = self.lead().await;
        for (cursor, event) in [(1, "bad"), (2, "worse")] {
            let bad = Entry::DeadLetter(dead_letter(event));
            self.accept(epoch, vec![bad], cursor).await;
            self.lose_cursor(epoch).await;
        }
        let dead_letters = self.store.dead_letters(true, None, 9).await.unwrap();
        let (open, closed) = (dead_letters[0].number, dead_letters[1].number);
        let dismiss = AdminCommand::Dismiss {
            dead_letter: closed,
        };
        self.store.execute(&dismiss, "ada", "seen").await.unwrap();
        assert_eq!(self.left().await, [2, 2, 1]);
        let hour = Duration::from_secs(3600);
        self.clock.advance(MIN_RETENTION - hour);
        assert_eq!(self.store.prune(hour).await.unwrap(), Pruned::default());
        self.clock.advance(hour * 2);
        let pruned = self.store.prune(hour).await.unwrap();
        assert_eq!((pruned.dead_letters, pruned.gaps, pruned.audit), (1, 1, 0));
        assert_eq!(self.left().await, [1, 1, 1]);
        let dead_letters = self.store.dead_letters(false, None, 9).await.unwrap();
        assert_eq!(dead_letters[0].number, open);
        self.clock.advance(AUDIT_RETENTION);
        let pruned = self.store.prune(hour).await.unwrap();
        assert_eq!((pruned.dead_letters, pruned.gaps, pruned.audit), (0, 0, 1));
        assert_eq!(self.left().await, [1, 1, 0]);
    }
}
