//! Recorded external calls.

use std::time::Duration;

use crate::JobQueueExt;
use domain::job::JobOutcome;
use domain::order::Fact;
use domain::ports::{CallAction, CallOutcome, CallRecord, Clock, Release, StoreError};
use operations::{CallStats, JobStore, MIN_RETENTION};

use super::{Subject, TTL};
use crate::{new_job, order_id};

impl<S: JobStore> Subject<'_, S> {
    fn call(&self, action: CallAction, took: u64, outcome: CallOutcome) -> CallRecord {
        CallRecord {
            at: self.clock.now(),
            took: Duration::from_millis(took),
            action,
            outcome,
        }
    }

    async fn calls(&self) -> Vec<(u64, CallRecord)> {
        let calls = self.store.calls_of(order_id(1)).await.unwrap();
        calls.iter().map(|call| (call.number, call.call)).collect()
    }

    /// Every commit of a job includes its calls, a lost lease records none, and pruning a job
    /// removes its calls.
    pub async fn calls_are_recorded_with_their_facts(&self) {
        self.enqueue(new_job("e1", order_id(1), None)).await;
        let claimed = self.claim_one().await;
        let details = self.call(CallAction::Details, 0, CallOutcome::NotSent);
        let release = Release {
            after: Duration::ZERO,
            deferral: true,
        };
        self.store
            .release(&claimed.lease, release, &[details])
            .await
            .unwrap();
        let lost = self.store.record(&claimed.lease, &[], &[details]).await;
        assert!(matches!(lost, Err(StoreError::LeaseLost)));
        let claimed = self.claim_one().await;
        let again = self.call(CallAction::Details, 12, CallOutcome::Ok);
        let placed = self.call(CallAction::AddOrder, 90_000, CallOutcome::Unknown);
        self.store
            .record(&claimed.lease, &[Fact::NotPlaced], &[again, placed])
            .await
            .unwrap();
        let report = self.call(CallAction::Report, 7, CallOutcome::Ok);
        self.store
            .finish(&claimed.lease, JobOutcome::Failed, &[], &[report])
            .await
            .unwrap();
        assert_eq!(
            self.calls().await,
            [(1, details), (2, again), (3, placed), (4, report)]
        );
        let other = self.store.calls_of(order_id(2)).await.unwrap();
        assert!(other.is_empty());
        self.clock.advance(MIN_RETENTION + TTL);
        self.store.prune(MIN_RETENTION).await.unwrap();
        assert!(self.calls().await.is_empty());
    }

    /// Errors of WHMCS calls are counted whatever their outcome; calls to Salesforce and calls
    /// outside the window are not.
    pub async fn whmcs_calls_and_errors_are_counted(&self) {
        let window = Duration::from_secs(600);
        let none = self.store.call_stats(window).await.unwrap();
        assert_eq!((none, none.error_ratio()), (CallStats::default(), 0.0));
        self.enqueue(new_job("e1", order_id(1), None)).await;
        let claimed = self.claim_one().await;
        // The claim carries the store's time, which may differ from the local clock.
        let call = |later, action, outcome| CallRecord {
            at: claimed.at + later,
            ..self.call(action, 1, outcome)
        };
        let mut calls = vec![call(
            Duration::ZERO,
            CallAction::GetOrders,
            CallOutcome::Refused,
        )];
        for action in CallAction::ALL {
            let outcomes = CallOutcome::ALL.into_iter();
            calls.extend(outcomes.map(|outcome| call(TTL / 3, action, outcome)));
        }
        self.store
            .record(&claimed.lease, &[], &calls)
            .await
            .unwrap();
        let counted = self.store.call_stats(window).await.unwrap();
        let expected = CallStats {
            calls: 1 + 7 * 5,
            errors: 1 + 7 * 4,
        };
        assert_eq!(counted, expected);
        self.clock.advance(window);
        let later = self.store.call_stats(window).await.unwrap();
        let expected = CallStats {
            calls: 7 * 5,
            errors: 7 * 4,
        };
        assert_eq!(later, expected);
    }

    /// A job keeps its newest calls; the number of the oldest shows how many were dropped.
    pub async fn only_newest_calls_are_kept(&self) {
        self.enqueue(new_job("e1", order_id(1), None)).await;
        let claimed = self.claim_one().await;
        let call = self.call(CallAction::OrderGuard, 1, CallOutcome::Ok);
        let last = self.call(CallAction::Report, 1, CallOutcome::Ok);
        for many in [CallRecord::MAX_KEPT - 1, CallRecord::MAX_KEPT + 3] {
            self.store
                .record(&claimed.lease, &[], &vec![call; many])
                .await
                .unwrap();
        }
        self.store
            .record(&claimed.lease, &[], &[last])
            .await
            .unwrap();
        let calls = self.calls().await;
        assert_eq!(calls.len(), CallRecord::MAX_KEPT);
        let all = 2 * CallRecord::MAX_KEPT as u64 + 3;
        assert_eq!(calls[0].0, all - CallRecord::MAX_KEPT as u64 + 1);
        assert_eq!(calls.last(), Some(&(all, last)));
    }
}
