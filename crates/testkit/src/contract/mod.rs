//! What every job store promises, as one suite that runs unchanged on each of them.
#![expect(clippy::unwrap_used, reason = "a failing promise fails its test")]

mod calls;
mod crowd;
mod people;
mod retention;
mod stream;
mod sweep;
mod upkeep;
mod watch;

use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::job::{Admission, JobOutcome, NewJob};
use domain::key::{EventId, ReplayId, WhmcsOrderId};
use domain::order::{Fact, MarkerCheck, MarkersKept};
use domain::ports::{
    Claimed, Clock, DeadLetter, Delivery, Entry, Epoch, Gap, JobIntake, JobQueue, JobReader,
    Leadership, Release, StoreError, Undecodable, UndecodableReason,
};

use crate::{FakeClock, channel, new_job, order_id, owner};

const TTL: Duration = Duration::from_secs(15);

/// A store under test, and the clock it goes by.
#[derive(Debug)]
pub struct Subject<'a, S> {
    /// The store, freshly made.
    pub store: &'a S,
    /// Its clock.
    pub clock: &'a FakeClock,
}

impl<S: JobIntake + JobQueue + JobReader> Subject<'_, S> {
    async fn lead(&self) -> Epoch {
        match self
            .store
            .lead(&channel(), &owner("sub-a"), TTL)
            .await
            .unwrap()
        {
            Leadership::Leader(epoch) => epoch,
            other => panic!("nobody else leads: {other:?}"),
        }
    }

    fn delivery(&self, epoch: Epoch, entries: Vec<Entry>, cursor: u8) -> Delivery {
        Delivery {
            channel: channel(),
            epoch,
            entries,
            cursor: ReplayId::new(vec![cursor]),
        }
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

    /// Job and cursor are one commit; repeating a delivery changes nothing.
    pub async fn a_delivery_is_stored_once_with_its_cursor(&self) {
        let epoch = self.lead().await;
        assert_eq!(self.store.cursor(&channel()).await.unwrap(), None);
        let job = Entry::Job(new_job("e1", order_id(1), Some("k1")));
        let delivery = self.delivery(epoch, vec![job], 7);
        assert_eq!(
            self.store.accept(&delivery).await.unwrap(),
            [Admission::Enqueued]
        );
        assert_eq!(
            self.store.accept(&delivery).await.unwrap(),
            [Admission::SameDelivery]
        );
        let cursor = self.store.cursor(&channel()).await.unwrap().unwrap();
        assert_eq!(cursor.replay_id.as_bytes(), [7]);
        assert_eq!(self.store.queue_stats().await.unwrap().count("queued"), 1);
    }

    /// A poison event is kept, and what follows it is not held up.
    pub async fn a_dead_letter_does_not_stop_the_stream(&self) {
        let epoch = self.lead().await;
        let letter = Entry::DeadLetter(DeadLetter {
            event: EventId::new("bad").unwrap(),
            replay_id: ReplayId::new(vec![1]),
            undecodable: Undecodable {
                reason: UndecodableReason::Malformed,
                detail: "3 bytes left over".to_owned(),
                schema_id: "s".to_owned(),
                payload: vec![1, 2, 3],
                fields: Vec::new(),
            },
        });
        let job = Entry::Job(new_job("e1", order_id(1), None));
        let delivery = self.delivery(epoch, vec![letter, job], 2);
        let admissions = self.store.accept(&delivery).await.unwrap();
        assert_eq!(admissions, [Admission::DeadLettered, Admission::Enqueued]);
        assert_eq!(self.store.queue_stats().await.unwrap().open_dead_letters, 1);
    }

    /// A store that cannot hold a value says so, writes nothing of the delivery, and goes on.
    pub async fn what_a_store_cannot_hold_is_told_from_a_store_that_is_away(&self) {
        let epoch = self.lead().await;
        let nul = NewJob {
            requested_by: Some("a\0b".to_owned()),
            ..new_job("nul", order_id(1), Some("k"))
        };
        // Nothing that compresses, as an index might do.
        let number = |n: u32| n.wrapping_mul(2_654_435_761).to_string();
        let noise: String = (0..20_000_u32).map(number).collect();
        let long = new_job(&noise[..20_000], order_id(2), None);
        let field = ("RequestedBy__c\0".to_owned(), "\0".to_owned());
        let letter = DeadLetter {
            event: EventId::new("bad").unwrap(),
            replay_id: None,
            undecodable: Undecodable {
                reason: UndecodableReason::Malformed,
                detail: "a\0".to_owned(),
                schema_id: "\0".to_owned(),
                payload: vec![0],
                fields: vec![field],
            },
        };
        let hard = [Entry::Job(nul), Entry::Job(long), Entry::DeadLetter(letter)];
        for (n, entry) in (1..).zip(hard) {
            let good = Entry::Job(new_job(&format!("g{n}"), order_id(10), None));
            let entries = vec![good.clone(), entry];
            let cursor = self.store.cursor(&channel()).await.unwrap();
            match self.store.accept(&self.delivery(epoch, entries, n)).await {
                Ok(admissions) => assert_eq!(admissions[0], Admission::Enqueued),
                Err(StoreError::Unstorable(_)) => {
                    assert_eq!(self.store.cursor(&channel()).await.unwrap(), cursor);
                    let alone = self.delivery(epoch, vec![good], n);
                    let admissions = self.store.accept(&alone).await.unwrap();
                    assert_eq!(admissions, [Admission::Enqueued], "nothing was written");
                }
                Err(other) => panic!("it is not away: {other:?}"),
            }
        }
    }

    /// A leader whose term is over cannot move the cursor or add a job.
    pub async fn a_stale_leader_changes_nothing(&self) {
        let stale = self.lead().await;
        let standby = self
            .store
            .lead(&channel(), &owner("sub-b"), TTL)
            .await
            .unwrap();
        assert!(matches!(standby, Leadership::Standby { .. }));
        self.clock.advance(TTL);
        let Leadership::Leader(epoch) = self
            .store
            .lead(&channel(), &owner("sub-b"), TTL)
            .await
            .unwrap()
        else {
            panic!("the lease of the first leader ran out");
        };
        assert!(epoch > stale);
        let job = Entry::Job(new_job("e1", order_id(1), None));
        let refused = self.store.accept(&self.delivery(stale, vec![job], 9)).await;
        assert!(matches!(refused, Err(StoreError::NotLeader)));
        assert_eq!(self.store.cursor(&channel()).await.unwrap(), None);
        assert_eq!(self.store.queue_stats().await.unwrap().count("queued"), 0);
    }

    /// Renewing keeps the term; resigning lets a standby in at once.
    pub async fn a_leader_renews_and_resigns(&self) {
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

    /// A lost position stays until another takes its place; a stale leader loses nothing.
    pub async fn a_lost_position_stays_until_another_takes_its_place(&self) {
        let epoch = self.lead().await;
        self.store
            .accept(&self.delivery(epoch, Vec::new(), 7))
            .await
            .unwrap();
        let gap = Gap {
            from: None,
            detail: "aged out".to_owned(),
        };
        self.store
            .record_cursor_loss(&channel(), epoch, &gap)
            .await
            .unwrap();
        // Whoever leads after a crash finds it lost as well, and not an empty store.
        assert_eq!(self.position().await, Some(7));
        self.store
            .accept(&self.delivery(epoch, Vec::new(), 9))
            .await
            .unwrap();
        assert_eq!(self.position().await, Some(9));
        let stale = Epoch(epoch.0 - 1);
        let lost = self.store.record_cursor_loss(&channel(), stale, &gap).await;
        assert!(matches!(lost, Err(StoreError::NotLeader)));
    }

    async fn position(&self) -> Option<u8> {
        let cursor = self.store.cursor(&channel()).await.unwrap()?;
        cursor.replay_id.as_bytes().first().copied()
    }

    /// The same request is dropped while it lives; after a failure it is the retry.
    pub async fn a_failed_order_may_be_asked_for_again(&self) {
        assert_eq!(
            self.enqueue(new_job("e1", order_id(1), Some("k"))).await,
            Admission::Enqueued
        );
        let again = new_job("e2", order_id(1), Some("k"));
        assert_eq!(self.enqueue(again).await, Admission::SameRequest);
        let claimed = self.claim_one().await;
        let refusal = Fact::Refused(Refusal::new(Code::OrderEmpty, "no products"));
        self.store
            .finish(&claimed.lease, JobOutcome::Failed, &[refusal], &[])
            .await
            .unwrap();
        let retry = new_job("e3", order_id(1), Some("k"));
        assert_eq!(self.enqueue(retry).await, Admission::Enqueued);
        assert_eq!(
            self.claim_one().await.facts.len(),
            1,
            "facts outlive attempts"
        );
    }

    /// Jobs of one order run one after the other, in the sequence of their arrival.
    pub async fn one_job_of_an_order_at_a_time(&self) {
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
        self.store
            .finish(&again.lease, JobOutcome::Succeeded, &[], &[])
            .await
            .unwrap();
        assert_eq!(self.claim_one().await.job.event, EventId::new("e2"));
    }

    /// A lease that ran out is claimed anew, and its old owner can write nothing, whatever
    /// it tries, whether or not somebody else has the job already.
    pub async fn a_stale_worker_writes_nothing(&self) {
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
        // Nobody has taken it yet; the one that slept through its lease must not go on.
        lost(
            self.store
                .record(&stale.lease, std::slice::from_ref(&intent), &[])
                .await,
        );
        self.refuses(&stale).await;
        let fresh = self.claim_one().await;
        assert_ne!(fresh.lease.token, stale.lease.token);
        lost(self.store.record(&stale.lease, &[intent], &[]).await);
        self.refuses(&stale).await;
        assert!(self.store.facts_of(order_id(1)).await.unwrap().is_empty());
        self.store
            .finish(&fresh.lease, JobOutcome::Skipped, &[], &[])
            .await
            .unwrap();
        let jobs = self.store.jobs_of(order_id(1)).await.unwrap();
        assert_eq!(jobs[0].outcome, Some(JobOutcome::Skipped));
    }

    async fn refuses(&self, stale: &Claimed) {
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

    /// Renewed leases hold.
    pub async fn a_heartbeat_keeps_the_job(&self) {
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

    /// Orders show that WHMCS keeps our marker from the first that kept it since one lost it.
    pub async fn the_newest_evidence_decides_whether_markers_are_kept(&self) {
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
        assert_eq!(claimed.markers_kept, None);
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
            let (lease, outcome) = (&claimed.lease, JobOutcome::Skipped);
            let finished = self.store.finish(lease, outcome, &facts, &[]);
            finished.await.unwrap();
            let next = number + 1;
            let event = format!("e{next}");
            self.enqueue(new_job(&event, order_id(next), None)).await;
            claimed = self.claim_one().await;
            let expected = kept.map(|(from, to)| MarkersKept {
                from: order(from),
                to: order(to),
            });
            assert_eq!(claimed.markers_kept, expected, "after order {number}");
        }
    }
}

/// Makes a test of every promise: `$run` is a macro that gets a promise's name and makes its
/// test. The one list of promises, so that none is forgotten for one of the stores.
#[macro_export]
macro_rules! job_store_contract {
    ($run:ident) => {
        $run! {
            a_delivery_is_stored_once_with_its_cursor,
            a_dead_letter_does_not_stop_the_stream,
            what_a_store_cannot_hold_is_told_from_a_store_that_is_away,
            a_stale_leader_changes_nothing,
            a_leader_renews_and_resigns,
            a_lost_position_stays_until_another_takes_its_place,
            a_failed_order_may_be_asked_for_again,
            one_job_of_an_order_at_a_time,
            a_stale_worker_writes_nothing,
            a_heartbeat_keeps_the_job,
            the_newest_evidence_decides_whether_markers_are_kept,
            calls_are_kept_with_what_followed_them,
            of_very_many_calls_the_newest_are_kept,
            calls_to_whmcs_are_counted_with_their_errors,
            many_claimers_never_share_a_job_or_an_order,
            the_longest_due_comes_first,
            ten_thousand_events_in_chunks_become_as_many_jobs,
            one_delivery_is_judged_in_its_sequence,
            a_repeat_with_more_behind_it_adds_only_that,
            a_leadership_that_was_taken_over_stays_with_its_new_owner,
            pruning_keeps_what_recognises_a_provisioned_order,
            pruning_forgets_closed_letters_old_gaps_and_very_old_audit_lines,
            jobs_are_counted_by_state_and_forgotten_ones_are_not,
            an_order_is_stuck_when_it_is_live_for_long_and_nothing_is_learnt,
            a_marker_is_lost_while_the_newest_evidence_says_so,
            an_activation_that_is_swept_up_twice_makes_one_job,
            an_activation_whose_job_did_nothing_is_swept_up_again,
            orders_are_found_by_any_of_their_names,
            orders_are_listed_page_by_page_the_newest_first,
            an_order_is_listed_with_its_last_job_and_its_refusal,
            a_handled_order_is_marked_until_it_is_asked_for_again,
            asking_again_is_told_before_and_after,
            a_dead_letter_is_dismissed_once_and_gaps_are_told,
            the_position_has_a_history,
            a_lost_position_leaves_one_gap,
            a_dead_letter_is_read_again_once_it_is_asked_for,
            a_paused_intake_is_led_by_nobody,
            paused_workers_keep_what_they_have_and_take_nothing,
            a_cursor_that_a_person_sets_is_not_moved_back_by_the_old_leader,
            a_whmcs_order_is_forgotten_only_while_nobody_works_on_it,
            a_process_is_known_by_its_last_report_until_it_is_silent_for_long,
            alerts_are_kept_only_by_whoever_leads_the_watch,
            outcomes_count_what_succeeded_and_failed_in_the_window,
        }
    };
}
