//! Concurrency and volume.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use crate::JobQueueExt;
use domain::id::OrderId;
use domain::job::{Admission, JobOutcome};
use domain::key::{ClientId, EventId, JobId};
use domain::order::Fact;
use domain::ports::{Claimed, Entry, JobChange, JobUpdate, Leadership, Release, StoreError};
use futures::future::join_all;
use operations::{JobStage, JobStore};

use super::{Subject, TTL};
use crate::{channel, delivery, gap, lead, new_job, order_id, owner};

/// Jobs and orders claimed at the same time.
#[derive(Default)]
struct Claims {
    orders: HashSet<OrderId>,
    jobs: HashSet<JobId>,
}

impl<S: JobStore> Subject<'_, S> {
    async fn claim_until_done(&self, name: &str, claims: &Mutex<Claims>) {
        let owner = owner(name);
        loop {
            let claimed = self.store.claim(&owner, 3, TTL).await.unwrap();
            if claimed.is_empty() {
                let queue_stats = self.store.queue_stats().await.unwrap();
                if queue_stats.count(JobStage::Queued) + queue_stats.count(JobStage::Leased) == 0 {
                    return;
                }
                tokio::task::yield_now().await;
                continue;
            }
            for job in &claimed {
                let mut claims = claims.lock().unwrap();
                assert!(
                    claims.orders.insert(job.job.order),
                    "two jobs of {} at once",
                    job.job.order
                );
                assert!(
                    claims.jobs.insert(job.job.id.clone()),
                    "{} twice",
                    job.job.id
                );
            }
            tokio::task::yield_now().await;
            for job in claimed {
                // Before finishing: afterwards another worker may claim the order's next job.
                claims.lock().unwrap().orders.remove(&job.job.order);
                self.finish(&job, JobOutcome::Succeeded, &[]).await;
            }
        }
    }

    /// Concurrent claims never return one job twice, or two jobs of one order.
    pub async fn concurrent_claims_never_share_a_job_or_order(&self) {
        let jobs: Vec<_> = (0..90)
            .map(|n| new_job(&format!("e{n}"), order_id(n % 30), None))
            .collect();
        self.store.enqueue(&jobs).await.unwrap();
        let claims = Mutex::default();
        tokio::join!(
            self.claim_until_done("a", &claims),
            self.claim_until_done("b", &claims),
            self.claim_until_done("c", &claims),
            self.claim_until_done("d", &claims),
            self.claim_until_done("e", &claims),
            self.claim_until_done("f", &claims),
        );
        assert_eq!(claims.lock().unwrap().jobs.len(), 90);
    }

    /// The longest due job is claimed first, and an order with many jobs does not block others.
    pub async fn longest_due_job_is_claimed_first(&self) {
        for n in 0..4 {
            self.enqueue(new_job(&format!("busy{n}"), order_id(9), None))
                .await;
        }
        for n in 1..=3 {
            self.clock.advance(Duration::from_secs(1));
            self.enqueue(new_job(&format!("e{n}"), order_id(n), None))
                .await;
        }
        let orders = |claimed: &[domain::ports::Claimed]| {
            let orders = claimed.iter().map(|claimed| claimed.job.order);
            orders.collect::<Vec<_>>()
        };
        let first = self.claim(3).await;
        assert_eq!(orders(&first), [order_id(9), order_id(1), order_id(2)]);
        self.clock.advance(Duration::from_secs(1));
        // A released job queues behind jobs that have waited longer.
        let release = Release {
            after: Duration::ZERO,
            deferral: false,
        };
        self.store
            .release(&first[1].lease, release, &[])
            .await
            .unwrap();
        let then = self.claim(5).await;
        assert_eq!(orders(&then), [order_id(3), order_id(1)]);
    }

    /// Ten thousand events in overlapping chunks each become one job.
    pub async fn ten_thousand_events_become_one_job_each(&self) {
        let epoch = self.lead().await;
        let chunk = |from: u32| {
            let jobs = (from..from + 1100).map(|n| {
                // The last hundred of each chunk are repeated in the next.
                Entry::Job(new_job(&format!("e{n}"), order_id(n), Some("k")))
            });
            delivery(epoch, jobs.collect(), 1)
        };
        for from in (0..10_000).step_by(1000) {
            let admissions = self.store.accept(&chunk(from)).await.unwrap();
            let expected = if from == 0 { 1100 } else { 1000 };
            let enqueued = admissions
                .iter()
                .filter(|admission| **admission == Admission::Enqueued);
            assert_eq!(enqueued.count(), expected);
        }
        assert_eq!(self.count(JobStage::Queued).await, 10_100);
    }

    /// Entries are deduplicated within one delivery.
    pub async fn entries_are_deduplicated_within_a_delivery(&self) {
        let epoch = self.lead().await;
        let entry = |event: &str, key| Entry::Job(new_job(event, order_id(1), key));
        let entries = vec![
            entry("e1", Some("k")),
            entry("e1", Some("k")),
            entry("e2", Some("k")),
            entry("e3", Some("other")),
        ];
        let admissions = self.store.accept(&delivery(epoch, entries, 1)).await;
        assert_eq!(
            admissions.unwrap(),
            [
                Admission::Enqueued,
                Admission::SameDelivery,
                Admission::SameRequest,
                Admission::Enqueued
            ]
        );
        assert_eq!(self.claim_one().await.job.event, EventId::new("e1"));
    }

    /// A delivery whose reply was lost is repeated with newer events: stored entries stay, new
    /// ones are added.
    pub async fn repeated_delivery_adds_only_new_entries(&self) {
        let epoch = self.lead().await;
        let entries = |events: std::ops::Range<u32>| {
            let jobs = events.map(|n| Entry::Job(new_job(&format!("e{n}"), order_id(n), None)));
            jobs.collect::<Vec<_>>()
        };
        self.accept(epoch, entries(0..2), 1).await;
        let again = delivery(epoch, entries(0..3), 2);
        assert_eq!(
            self.store.accept(&again).await.unwrap(),
            [
                Admission::SameDelivery,
                Admission::SameDelivery,
                Admission::Enqueued
            ]
        );
        let cursor = self.store.cursor(&channel()).await.unwrap().unwrap();
        assert_eq!(cursor.replay_id.as_bytes(), [2]);
        assert_eq!(self.count(JobStage::Queued).await, 3);
    }

    /// A former leader can neither move the cursor nor resign for its successor.
    pub async fn lost_leadership_stays_with_new_leader(&self) {
        let stale = self.lead().await;
        self.clock.advance(TTL);
        let epoch = lead(self.store, &channel(), "sub-b", TTL).await;
        self.accept(epoch, Vec::new(), 5).await;
        self.store
            .resign(&channel(), &owner("sub-a"))
            .await
            .unwrap();
        let lost = self
            .store
            .record_cursor_loss(&channel(), stale, &gap())
            .await;
        assert!(matches!(lost, Err(StoreError::NotLeader)));
        let leadership = self.store.lead(&channel(), &owner("sub-a"), TTL).await;
        assert!(matches!(leadership.unwrap(), Leadership::Standby { .. }));
        let view = self.store.stream(&channel()).await.unwrap();
        assert_eq!(view.leader.unwrap().1, epoch);
        assert_eq!(view.cursor.unwrap().replay_id.as_bytes(), [5]);
    }

    /// Updates that wait at the same time may share a commit: one whose lease is lost, or whose
    /// value cannot be stored, takes nothing from the others.
    pub async fn concurrent_updates_are_answered_each_on_its_own(&self) {
        let count = 40;
        for n in 0..count {
            self.enqueue(new_job(&format!("e{n}"), order_id(n), None))
                .await;
        }
        let stale = self.claim(1).await.remove(0);
        self.clock.advance(TTL);
        let claimed = self.claim(count as usize).await;
        assert_eq!(claimed.len(), count as usize);
        // Incompressible, since an index may compress its keys.
        let number = |n: u32| n.wrapping_mul(2_654_435_761).to_string();
        let noise: String = (0..20_000_u32).map(number).collect();
        let checked = |job: &Claimed, number: &str| Fact::Checked {
            job: job.job.id.clone(),
            idem_key: None,
            number: Some(number.to_owned()),
            account: None,
        };
        let long = [checked(&claimed[0], &noise[..20_000])];
        let stale_facts = [checked(&stale, "stale")];
        let facts: Vec<_> = claimed.iter().map(|job| [checked(job, "O-1")]).collect();
        let (lost, unstorable, recorded) = tokio::join!(
            self.store.record(&stale.lease, &stale_facts, &[]),
            self.store.record(&claimed[0].lease, &long, &[]),
            join_all(
                claimed[1..]
                    .iter()
                    .zip(&facts[1..])
                    .map(|(job, facts)| self.store.record(&job.lease, facts, &[]))
            ),
        );
        assert!(matches!(lost, Err(StoreError::LeaseLost)), "{lost:?}");
        assert!(
            matches!(unstorable, Ok(()) | Err(StoreError::Unstorable(_))),
            "{unstorable:?}"
        );
        assert!(recorded.iter().all(Result::is_ok), "{recorded:?}");
        for (job, facts) in claimed.iter().zip(&facts).skip(1) {
            let kept = self.store.facts_of(job.job.order).await.unwrap();
            let kept: Vec<_> = kept.into_iter().map(|recorded| recorded.fact).collect();
            assert_eq!(kept, facts);
        }
        let of_first = self.store.facts_of(claimed[0].job.order).await.unwrap();
        assert_eq!(of_first.len(), usize::from(unstorable.is_ok()));
        // Renewing keeps them apart as well: the same worker may have claimed a job twice.
        let leases: Vec<_> = std::iter::once(&stale)
            .chain(&claimed)
            .map(|job| job.lease.clone())
            .collect();
        let lost = self.store.renew(&leases, TTL).await.unwrap();
        assert_eq!(lost, [stale.lease]);
    }

    /// The answer to a commit can be lost.
    pub async fn repeated_update_of_several_facts_counts_once(&self) {
        self.enqueue(new_job("e1", order_id(1), None)).await;
        let job = self.claim_one().await;
        let checked = Fact::Checked {
            job: job.job.id.clone(),
            idem_key: None,
            number: None,
            account: None,
        };
        let client = ClientId(7);
        let update = JobUpdate {
            known: Some(0),
            facts: vec![checked.clone(), Fact::Client { client }],
            calls: Vec::new(),
            change: JobChange::Keep,
        };
        for _ in 0..2 {
            self.store.update(&job.lease, &update).await.unwrap();
        }
        let facts = self.store.facts_of(job.job.order).await.unwrap();
        let facts: Vec<_> = facts.into_iter().map(|recorded| recorded.fact).collect();
        assert_eq!(facts, update.facts);
    }

    /// A database server that crashes may forget facts that were not flushed.
    pub async fn update_is_refused_when_its_worker_knows_other_facts(&self) {
        self.enqueue(new_job("e1", order_id(1), None)).await;
        let job = self.claim_one().await;
        for (known, change) in [
            (1, JobChange::Keep),
            (3, JobChange::Keep),
            (1, JobChange::Finish(JobOutcome::Succeeded)),
        ] {
            let update = JobUpdate {
                known: Some(known),
                facts: vec![Fact::Accepted],
                calls: Vec::new(),
                change,
            };
            let refused = self.store.update(&job.lease, &update).await;
            assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
        }
        assert!(self.store.facts_of(job.job.order).await.unwrap().is_empty());
        let lost = self
            .store
            .renew(std::slice::from_ref(&job.lease), TTL)
            .await;
        assert_eq!(lost.unwrap(), [], "the job is still claimed");
    }
}
