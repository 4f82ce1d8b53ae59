//! Contracts of the job store and of the event source, as suites that run unchanged on every
//! implementation.
#![expect(clippy::unwrap_used, reason = "a failing contract test panics")]

mod admin;
mod alert_inputs;
mod calls;
mod concurrency;
mod event_source;
mod operator_sessions;
mod process_registry;
mod retention;
mod stream;
mod sweep;

use std::time::Duration;

use crate::JobQueueExt;
use domain::failure::{Code, Refusal};
use domain::job::{Admission, JobOutcome, NewJob};
use domain::key::{EventId, WhmcsOrderId};
use domain::order::{Fact, MarkerCheck, MarkerProof};
use domain::ports::{Claimed, Clock, Entry, Epoch, Leadership, Release, StoreError};
use operations::{JobStage, JobStore};

use crate::{FakeClock, channel, dead_letter, delivery, gap, lead, new_job, order_id, owner};

pub use event_source::{BusUnderTest, check_event_source};

const TTL: Duration = Duration::from_secs(15);

/// A store under test and its clock.
#[derive(Debug)]
pub struct Subject<'a, S> {
    /// The store, newly created.
    pub store: &'a S,
    /// Its clock.
    pub clock: &'a FakeClock,
}

impl<S: JobStore> Subject<'_, S> {
    async fn lead(&self) -> Epoch {
        lead(self.store, &channel(), "sub-a", TTL).await
    }

    /// Accepts a delivery that is well-formed and in term.
    async fn accept(&self, epoch: Epoch, entries: Vec<Entry>, cursor: u8) -> Vec<Admission> {
        let delivery = delivery(epoch, entries, cursor);
        self.store.accept(&delivery).await.unwrap()
    }

    async fn lose_cursor(&self, epoch: Epoch) {
        self.store
            .record_cursor_loss(&channel(), epoch, &gap())
            .await
            .unwrap();
    }

    async fn finish(&self, claimed: &Claimed, outcome: JobOutcome, facts: &[Fact]) {
        let finished = self.store.finish(&claimed.lease, outcome, facts, &[]);
        finished.await.unwrap();
    }

    async fn count(&self, stage: JobStage) -> u64 {
        self.store.queue_stats().await.unwrap().count(stage)
    }

    async fn enqueue(&self, job: NewJob) -> Admission {
        self.store.enqueue(&[job]).await.unwrap()[0]
    }

    async fn claim(&self, limit: usize) -> Vec<Claimed> {
        self.store
            .claim(&owner("worker-a"), limit, TTL)
            .await
            .unwrap()
    }

    async fn claim_one(&self) -> Claimed {
        self.claim(1).await.pop().expect("a job is due")
    }

    /// Jobs and cursor are committed together; repeating a delivery changes nothing.
    pub async fn delivery_is_stored_once_with_its_cursor(&self) {
        let epoch = self.lead().await;
        assert_eq!(self.store.cursor(&channel()).await.unwrap(), None);
        let job = Entry::Job(new_job("e1", order_id(1), Some("k1")));
        for admission in [Admission::Enqueued, Admission::SameDelivery] {
            assert_eq!(self.accept(epoch, vec![job.clone()], 7).await, [admission]);
        }
        let cursor = self.store.cursor(&channel()).await.unwrap().unwrap();
        assert_eq!(cursor.replay_id.as_bytes(), [7]);
        assert_eq!(self.count(JobStage::Queued).await, 1);
    }

    /// A poison event is stored as a dead letter, and later events are processed.
    pub async fn dead_letter_does_not_block_stream(&self) {
        let epoch = self.lead().await;
        let job = Entry::Job(new_job("e1", order_id(1), None));
        let entries = vec![Entry::DeadLetter(dead_letter("bad")), job];
        let admissions = self.accept(epoch, entries, 2).await;
        assert_eq!(admissions, [Admission::DeadLettered, Admission::Enqueued]);
        assert_eq!(self.store.queue_stats().await.unwrap().open_dead_letters, 1);
    }

    /// A store rejects a value it cannot store, writes nothing of the delivery, and stays usable.
    pub async fn unstorable_value_differs_from_unavailable_store(&self) {
        let epoch = self.lead().await;
        let nul = NewJob {
            requested_by: Some("a\0b".to_owned()),
            ..new_job("nul", order_id(1), Some("k"))
        };
        // Incompressible, since an index may compress its keys.
        let number = |n: u32| n.wrapping_mul(2_654_435_761).to_string();
        let noise: String = (0..20_000_u32).map(number).collect();
        let long = new_job(&noise[..20_000], order_id(2), None);
        let field = ("RequestedBy__c\0".to_owned(), "\0".to_owned());
        let mut dead_letter = dead_letter("bad");
        let undecodable = &mut dead_letter.undecodable;
        undecodable.detail = "a\0".to_owned();
        undecodable.schema_id = "\0".to_owned();
        undecodable.fields = vec![field];
        let hard = [
            Entry::Job(nul),
            Entry::Job(long),
            Entry::DeadLetter(dead_letter),
        ];
        for (n, entry) in (1..).zip(hard) {
            let good = Entry::Job(new_job(&format!("g{n}"), order_id(10), None));
            let entries = vec![good.clone(), entry];
            let cursor = self.store.cursor(&channel()).await.unwrap();
            match self.store.accept(&delivery(epoch, entries, n)).await {
                Ok(admissions) => assert_eq!(admissions[0], Admission::Enqueued),
                Err(StoreError::Unstorable(_)) => {
                    assert_eq!(self.store.cursor(&channel()).await.unwrap(), cursor);
                    let admissions = self.accept(epoch, vec![good], n).await;
                    assert_eq!(admissions, [Admission::Enqueued], "nothing was written");
                }
                Err(other) => panic!("not a storage error: {other:?}"),
            }
        }
    }

    /// A leader whose epoch is over cannot move the cursor or add a job.
    pub async fn stale_leader_cannot_write(&self) {
        let stale = self.lead().await;
        let standby = self
            .store
            .lead(&channel(), &owner("sub-b"), TTL)
            .await
            .unwrap();
        assert!(matches!(standby, Leadership::Standby { .. }));
        self.clock.advance(TTL);
        let epoch = lead(self.store, &channel(), "sub-b", TTL).await;
        assert!(epoch > stale);
        let job = Entry::Job(new_job("e1", order_id(1), None));
        let refused = self.store.accept(&delivery(stale, vec![job], 9)).await;
        assert!(matches!(refused, Err(StoreError::NotLeader)));
        assert_eq!(self.store.cursor(&channel()).await.unwrap(), None);
        assert_eq!(self.count(JobStage::Queued).await, 0);
    }

    /// Renewing keeps the epoch; resigning lets a standby take over at once.
    pub async fn leader_renews_and_resigns(&self) {
        let first = self.lead().await;
        self.clock.advance(TTL / 2);
        assert_eq!(self.lead().await, first);
        self.store
            .resign(&channel(), &owner("sub-a"))
            .await
            .unwrap();
        let next = self
            .store
            .lead(&channel(), &owner("sub-b"), TTL)
            .await
            .unwrap();
        assert!(matches!(next, Leadership::Leader(epoch) if epoch > first));
    }

    /// A lost cursor stays until it is replaced; a stale leader cannot record a loss.
    pub async fn lost_cursor_stays_until_replaced(&self) {
        let epoch = self.lead().await;
        self.accept(epoch, Vec::new(), 7).await;
        self.lose_cursor(epoch).await;
        // A leader after a crash also sees the loss, and not an empty store.
        assert_eq!(self.position().await, Some(7));
        self.accept(epoch, Vec::new(), 9).await;
        assert_eq!(self.position().await, Some(9));
        let stale = Epoch::from_number(epoch.number() - 1);
        let lost = self
            .store
            .record_cursor_loss(&channel(), stale, &gap())
            .await;
        assert!(matches!(lost, Err(StoreError::NotLeader)));
    }

    async fn position(&self) -> Option<u8> {
        let cursor = self.store.cursor(&channel()).await.unwrap()?;
        cursor.replay_id.as_bytes().first().copied()
    }

    /// A request is deduplicated while its job is live; after a failure it is a retry.
    pub async fn failed_order_can_be_retried(&self) {
        assert_eq!(
            self.enqueue(new_job("e1", order_id(1), Some("k"))).await,
            Admission::Enqueued
        );
        let again = new_job("e2", order_id(1), Some("k"));
        assert_eq!(self.enqueue(again).await, Admission::SameRequest);
        let claimed = self.claim_one().await;
        let refusal = Fact::Refused(Refusal::new(Code::OrderEmpty, "no products"));
        self.finish(&claimed, JobOutcome::Failed, &[refusal]).await;
        let retry = new_job("e3", order_id(1), Some("k"));
        assert_eq!(self.enqueue(retry).await, Admission::Enqueued);
        assert_eq!(
            self.claim_one().await.facts.len(),
            1,
            "facts outlive attempts"
        );
    }

    /// Jobs of one order run one at a time, in order of arrival.
    pub async fn one_job_per_order_runs_at_a_time(&self) {
        self.enqueue(new_job("e1", order_id(1), None)).await;
        self.enqueue(new_job("e2", order_id(1), None)).await;
        self.enqueue(new_job("e3", order_id(2), None)).await;
        let claimed = self.claim(10).await;
        let orders: Vec<_> = claimed.iter().map(|claimed| claimed.job.order).collect();
        assert_eq!(orders, [order_id(1), order_id(2)]);
        assert!(self.claim(10).await.is_empty());
        // Deferring the first must not let the second overtake it.
        let release = Release {
            after: TTL,
            deferral: true,
        };
        self.store
            .release(&claimed[0].lease, release, &[])
            .await
            .unwrap();
        assert!(self.claim(10).await.is_empty());
        self.clock.advance(TTL / 2);
        self.store
            .renew(&[claimed[1].lease.clone()], TTL)
            .await
            .unwrap();
        self.clock.advance(TTL / 2);
        let again = self.claim_one().await;
        assert_eq!(again.job.id, claimed[0].job.id);
        assert_eq!(again.deferrals, 1);
        self.finish(&again, JobOutcome::Succeeded, &[]).await;
        assert_eq!(self.claim_one().await.job.event, EventId::new("e2"));
    }

    /// An expired lease can be claimed again, and its former owner can write nothing, whether or
    /// not another worker already owns the job.
    pub async fn expired_lease_cannot_record(&self) {
        self.enqueue(new_job("e1", order_id(1), None)).await;
        let stale = self.claim_one().await;
        let intent = Fact::Placing {
            at: self.clock.now(),
            watermark: WhmcsOrderId(0),
        };
        self.clock.advance(TTL);
        let lost = |result: Result<(), StoreError>| {
            assert!(matches!(result, Err(StoreError::LeaseLost)));
        };
        // Not claimed yet, but the expired owner must not continue.
        lost(
            self.store
                .record(&stale.lease, std::slice::from_ref(&intent), &[])
                .await,
        );
        self.assert_rejected(&stale).await;
        let fresh = self.claim_one().await;
        assert_ne!(fresh.lease.token, stale.lease.token);
        lost(self.store.record(&stale.lease, &[intent], &[]).await);
        self.assert_rejected(&stale).await;
        assert!(self.store.facts_of(order_id(1)).await.unwrap().is_empty());
        self.finish(&fresh, JobOutcome::Skipped, &[]).await;
        let jobs = self.store.jobs_of(order_id(1)).await.unwrap();
        assert_eq!(jobs[0].stage, JobStage::Ended(JobOutcome::Skipped));
    }

    async fn assert_rejected(&self, stale: &Claimed) {
        let lost = |result: Result<(), StoreError>| {
            assert!(matches!(result, Err(StoreError::LeaseLost)));
        };
        lost(
            self.store
                .finish(&stale.lease, JobOutcome::Failed, &[Fact::Reported], &[])
                .await,
        );
        let release = Release {
            after: Duration::ZERO,
            deferral: false,
        };
        lost(self.store.release(&stale.lease, release, &[]).await);
        let renewed = self
            .store
            .renew(std::slice::from_ref(&stale.lease), TTL)
            .await
            .unwrap();
        assert_eq!(renewed, std::slice::from_ref(&stale.lease));
    }

    /// A renewed lease does not expire.
    pub async fn heartbeat_keeps_lease(&self) {
        self.enqueue(new_job("e1", order_id(1), None)).await;
        let claimed = self.claim_one().await;
        for _ in 0..4 {
            self.clock.advance(TTL / 2);
            let lost = self
                .store
                .renew(std::slice::from_ref(&claimed.lease), TTL)
                .await
                .unwrap();
            assert!(lost.is_empty());
            assert!(self.claim(1).await.is_empty());
        }
        self.store
            .record(&claimed.lease, &[Fact::NotPlaced], &[])
            .await
            .unwrap();
    }

    /// The newest orders that kept their marker prove that WHMCS keeps markers, until one loses
    /// it.
    pub async fn newest_marker_check_decides_markers_kept(&self) {
        let order = WhmcsOrderId;
        let evidence = [
            (MarkerCheck::Unchecked, None),
            (MarkerCheck::Kept, Some((2, 2))),
            (MarkerCheck::Unchecked, Some((2, 2))),
            (MarkerCheck::Kept, Some((2, 4))),
            (MarkerCheck::Dropped, None),
            (MarkerCheck::Unchecked, None),
            (MarkerCheck::Kept, Some((7, 7))),
            (MarkerCheck::Kept, Some((7, 8))),
        ];
        self.enqueue(new_job("e1", order_id(1), None)).await;
        let mut claimed = self.claim_one().await;
        assert_eq!(claimed.marker_proof, None);
        for ((marker, kept), number) in evidence.into_iter().zip(1_u32..) {
            let facts = [
                Fact::Placed {
                    order: order(u64::from(number)),
                },
                Fact::Verified {
                    lines: Vec::new(),
                    marker,
                },
            ];
            self.finish(&claimed, JobOutcome::Skipped, &facts).await;
            let next = number + 1;
            let event = format!("e{next}");
            self.enqueue(new_job(&event, order_id(next), None)).await;
            claimed = self.claim_one().await;
            let expected = kept.map(|(from, to)| MarkerProof {
                from: order(from),
                to: order(to),
            });
            assert_eq!(claimed.marker_proof, expected, "after order {number}");
            assert_eq!(self.store.marker_proof().await.unwrap(), expected);
        }
    }
}

/// Calls the macro `$run` with the name of every contract test. The only list of them, so that no
/// store misses one.
#[macro_export]
macro_rules! job_store_contract {
    ($run:ident) => {
        $run! {
            delivery_is_stored_once_with_its_cursor,
            dead_letter_does_not_block_stream,
            unstorable_value_differs_from_unavailable_store,
            stale_leader_cannot_write,
            leader_renews_and_resigns,
            lost_cursor_stays_until_replaced,
            failed_order_can_be_retried,
            one_job_per_order_runs_at_a_time,
            expired_lease_cannot_record,
            heartbeat_keeps_lease,
            newest_marker_check_decides_markers_kept,
            calls_are_recorded_with_their_facts,
            only_newest_calls_are_kept,
            whmcs_calls_and_errors_are_counted,
            job_set_aside_by_its_worker_is_reported,
            concurrent_claims_never_share_a_job_or_order,
            concurrent_updates_are_answered_each_on_its_own,
            repeated_update_of_several_facts_counts_once,
            update_is_refused_when_its_worker_knows_other_facts,
            longest_due_job_is_claimed_first,
            ten_thousand_events_become_one_job_each,
            entries_are_deduplicated_within_a_delivery,
            repeated_delivery_adds_only_new_entries,
            lost_leadership_stays_with_new_leader,
            pruning_keeps_facts_of_provisioned_orders,
            pruning_removes_closed_dead_letters_gaps_and_audit_entries,
            jobs_are_counted_by_state_until_pruned,
            live_order_without_new_facts_is_stuck,
            marker_is_lost_while_newest_check_dropped_it,
            repeated_sweep_enqueues_activation_once,
            activation_with_skipped_job_is_swept_again,
            orders_are_found_by_any_identifier,
            control_characters_in_a_search_find_nothing,
            orders_are_paged_newest_first,
            order_list_shows_last_job_and_error_code,
            acknowledgement_lasts_until_retry,
            adoption_is_audited_without_a_job,
            retry_is_audited_before_and_after,
            dead_letter_is_dismissed_once_and_gaps_are_listed,
            cursor_has_history,
            cursor_loss_records_one_gap,
            dead_letter_is_redriven_once_when_requested,
            paused_intake_has_no_leader,
            paused_workers_keep_leases_and_claim_nothing,
            old_leader_cannot_overwrite_cursor_set_by_operator,
            whmcs_order_cannot_be_forgotten_while_leased,
            process_is_listed_until_its_heartbeat_expires,
            operator_session_is_found_until_it_ends_or_expires,
            logins_are_audited,
            only_watch_leader_saves_alerts,
            attempt_stats_count_results_in_window,
        }
    };
}
