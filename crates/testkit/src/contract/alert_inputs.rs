//! Inputs of the alert rules about jobs and orders.

use std::time::Duration;

use crate::JobQueueExt;
use domain::failure::Code;
use domain::job::JobOutcome;
use domain::order::{Fact, MarkerCheck};
use domain::ports::{JobChange, JobUpdate, Release, StoreError};
use operations::{JobStage, JobStore, MIN_RETENTION, OrderQuery};

use super::Subject;
use crate::{new_job, order_id};

const HOUR: Duration = Duration::from_secs(3600);
const HALF: Duration = Duration::from_secs(1800);

impl<S: JobStore> Subject<'_, S> {
    /// Every job counts once, in its current state, until it is pruned.
    pub async fn jobs_are_counted_by_state_until_pruned(&self) {
        let finished_jobs = JobOutcome::ALL.into_iter().chain([JobOutcome::Succeeded]);
        for (n, outcome) in (1..).zip(finished_jobs) {
            let job = new_job(&format!("e{n}"), order_id(n), None);
            self.enqueue(job).await;
            let lease = self.claim_one().await.lease;
            self.store.finish(&lease, outcome, &[], &[]).await.unwrap();
        }
        self.clock.advance(MIN_RETENTION);
        for n in 11..=13 {
            let job = new_job(&format!("e{n}"), order_id(n), None);
            self.enqueue(job).await;
        }
        let leased = self.claim_one().await;
        let count = async || {
            let queue_stats = self.store.queue_stats().await.unwrap();
            JobStage::ALL.map(|stage| queue_stats.count(stage))
        };
        assert_eq!(count().await, [2, 1, 2, 1, 1, 1]);
        self.store.prune(HOUR).await.unwrap();
        assert_eq!(count().await, [2, 1, 0, 0, 0, 0]);
        let ended = self
            .store
            .finish(&leased.lease, JobOutcome::Failed, &[], &[]);
        ended.await.unwrap();
        self.store.prune(HOUR).await.unwrap();
        assert_eq!(count().await, [2, 0, 0, 1, 0, 0]);
    }

    /// A worker sets a job aside whose facts it cannot replay: it ends `failed` without a new fact,
    /// its order is listed with `INTERNAL`, and its cause is reported for a while.
    pub async fn job_set_aside_by_its_worker_is_reported(&self) {
        self.enqueue(new_job("e1", order_id(1), None)).await;
        let lease = self.claim_one().await.lease;
        let update = JobUpdate {
            known: None,
            facts: Vec::new(),
            calls: Vec::new(),
            change: JobChange::SetAside {
                cause: "fact `reported` cannot follow".to_owned(),
            },
        };
        self.store.update(&lease, &update).await.unwrap();
        let again = self.store.update(&lease, &update).await;
        assert!(matches!(again, Err(StoreError::LeaseLost)), "{again:?}");
        assert_eq!(
            self.store
                .queue_stats()
                .await
                .unwrap()
                .count(JobStage::Ended(JobOutcome::Failed)),
            1
        );
        assert!(self.store.facts_of(order_id(1)).await.unwrap().is_empty());
        let first = OrderQuery {
            limit: 1,
            ..OrderQuery::default()
        };
        let listed = self.store.orders(&first).await.unwrap();
        assert_eq!(listed[0].stage, JobStage::Ended(JobOutcome::Failed));
        assert_eq!(listed[0].code, Some(Code::Internal));
        let reported = self.store.unreadable_jobs(HOUR).await.unwrap();
        assert_eq!(
            (reported.jobs, reported.order),
            (1, order_id(1).to_string())
        );
        assert_eq!(reported.cause, "fact `reported` cannot follow");
        self.clock.advance(HOUR);
        let reported = self.store.unreadable_jobs(HOUR).await.unwrap();
        assert_eq!(reported.jobs, 0);
    }

    /// An order's age counts from its oldest live job, its progress from its newest fact.
    pub async fn live_order_without_new_facts_is_stuck(&self) {
        let stuck = async || self.store.stuck_orders(HOUR, HALF).await.unwrap();
        for n in 1..=3 {
            let job = new_job(&format!("e{n}"), order_id(n), None);
            self.enqueue(job).await;
        }
        let old = self.claim(3).await;
        self.clock.advance(HOUR / 2);
        let lost = self.claim(3).await;
        assert_eq!(lost.len(), 3, "their leases expired");
        assert_eq!(stuck().await.orders, 0, "not stuck yet");
        self.clock.advance(HOUR / 2);
        let claimed = self.claim(3).await;
        assert_eq!(stuck().await.orders, 3);
        let recorded = [Fact::NotPlaced];
        self.store
            .record(&claimed[0].lease, &recorded, &[])
            .await
            .unwrap();
        let found = stuck().await;
        assert_eq!(found.orders, 2, "the first has a new fact");
        let (oldest, since) = found.oldest.unwrap();
        assert_eq!((oldest, since), (order_id(2), old[1].enqueued_at));
        let (lease, outcome) = (&claimed[1].lease, JobOutcome::Skipped);
        self.store.finish(lease, outcome, &[], &[]).await.unwrap();
        assert_eq!(stuck().await.orders, 1, "a finished order is not stuck");
        // Repeated releases are no progress.
        let release = Release {
            after: Duration::ZERO,
            deferral: true,
        };
        let released = self.store.release(&claimed[2].lease, release, &[]);
        released.await.unwrap();
        assert_eq!(
            stuck().await.oldest.map(|(order, _)| order),
            Some(order_id(3))
        );
        self.clock.advance(HALF);
        assert_eq!(stuck().await.orders, 2, "no new facts");
    }

    /// Needs both kinds of evidence, with the newest showing a dropped marker.
    pub async fn marker_is_lost_while_newest_check_dropped_it(&self) {
        self.enqueue(new_job("e1", order_id(1), None)).await;
        let claimed = self.claim_one().await;
        let lost = async || self.store.marker_lost().await.unwrap().is_some();
        assert!(!lost().await);
        for (marker, expected) in [
            (MarkerCheck::Dropped, false),
            (MarkerCheck::Kept, false),
            (MarkerCheck::Unchecked, false),
            (MarkerCheck::Dropped, true),
            (MarkerCheck::Unchecked, true),
            (MarkerCheck::Kept, false),
        ] {
            let verified = [Fact::Verified {
                lines: Vec::new(),
                marker,
            }];
            self.store
                .record(&claimed.lease, &verified, &[])
                .await
                .unwrap();
            assert_eq!(lost().await, expected, "{marker:?}");
        }
    }
}
