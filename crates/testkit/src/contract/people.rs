//! What people see and do.

use std::time::Duration;

use domain::failure::{Code, Refusal};
use domain::id::{AccountId, OrderId};
use domain::job::JobOutcome;
use domain::key::{EventId, JobId, ReplayId, WhmcsOrderId};
use domain::order::{RetryAnswer, Fact};
use domain::ports::{
    AdminCommand, CommandResult, Clock, DeadLetter, Entry, Gap, JobIntake, JobQueue, JobReader, JobStage,
    Leadership, OrderQuery, OrderRow, Pausable, StoreError, Undecodable, UndecodableReason,
};

use super::{Subject, TTL};
use crate::{channel, new_job, order_id, owner};

const MOMENT: Duration = Duration::from_secs(1);

fn everything() -> OrderQuery {
    OrderQuery {
        limit: 100,
        ..OrderQuery::default()
    }
}

fn account() -> AccountId {
    AccountId::parse("001000000000001").unwrap()
}

impl<S: JobIntake + JobQueue + JobReader> Subject<'_, S> {
    async fn listed(&self, query: &OrderQuery) -> Vec<OrderRow> {
        self.store.orders(query).await.unwrap()
    }

    async fn ids(&self, query: OrderQuery) -> Vec<OrderId> {
        let rows = self.listed(&query).await;
        rows.into_iter().map(|row| row.order).collect()
    }

    pub(super) async fn do_it(&self, act: &AdminCommand) -> CommandResult {
        self.store.act(act, "ada", "because").await.unwrap()
    }

    /// Asks for the order and works on it to this end.
    async fn worked(&self, n: u32, outcome: JobOutcome, facts: &[Fact]) -> JobId {
        self.clock.advance(MOMENT);
        self.enqueue(new_job(&format!("e{n}"), order_id(n), None))
            .await;
        let claimed = self.claim_one().await;
        let checked = Fact::Checked {
            job: claimed.job.id.clone(),
            idem_key: None,
            number: Some(format!("{n:08}")),
            account: Some(account()),
        };
        self.store
            .record(&claimed.lease, &[checked], &[])
            .await
            .unwrap();
        self.store
            .finish(&claimed.lease, outcome, facts, &[])
            .await
            .unwrap();
        claimed.job.id
    }

    async fn placed(&self, n: u32, whmcs_order: u64) -> JobId {
        let order = WhmcsOrderId(whmcs_order);
        self.worked(n, JobOutcome::Succeeded, &[Fact::Placed { order }])
            .await
    }

    async fn refused(&self, n: u32) -> JobId {
        let refusal = Refusal::new(Code::OrderEmpty, "no products");
        self.worked(n, JobOutcome::Failed, &[Fact::Refused(refusal), Fact::Reported])
            .await
    }

    /// Order id in either length, number, WHMCS order, account.
    pub async fn orders_are_found_by_any_of_their_names(&self) {
        self.placed(1, 41).await;
        self.placed(2, 42).await;
        let found = |text: &str| OrderQuery {
            text: Some(text.to_owned()),
            ..everything()
        };
        let second = [order_id(2)];
        assert_eq!(self.ids(found(order_id(2).as_str())).await, second);
        assert_eq!(self.ids(found(&order_id(2).as_str()[..15])).await, second);
        assert_eq!(self.ids(found("00000002")).await, second);
        assert_eq!(self.ids(found("42")).await, second);
        let both = [order_id(2), order_id(1)];
        assert_eq!(self.ids(found(account().as_str())).await, both);
        assert!(self.ids(found("nothing")).await.is_empty());
    }

    /// Keyset pages; activity brings an order to the front.
    pub async fn orders_are_listed_page_by_page_the_newest_first(&self) {
        for n in 1..=5 {
            self.placed(n, u64::from(n)).await;
        }
        self.clock.advance(MOMENT);
        self.enqueue(new_job("again", order_id(2), None)).await;
        let mut query = OrderQuery {
            limit: 2,
            ..OrderQuery::default()
        };
        let mut seen = Vec::new();
        loop {
            let page = self.listed(&query).await;
            let Some(last) = page.last() else { break };
            query.after = Some((last.updated_at, last.order));
            seen.extend(page.into_iter().map(|row| row.order));
        }
        assert_eq!(seen, [2, 5, 4, 3, 1].map(order_id));
        let jobs = self.store.jobs(None, None, 2).await.unwrap();
        assert_eq!(jobs[0].job.event, EventId::new("again"));
        let rest = self.store.jobs(None, Some(&jobs[1].job.id), 9).await;
        assert_eq!(rest.unwrap().len(), 4);
        let queued = self.store.jobs(Some(JobStage::Queued), None, 9).await;
        assert_eq!(queued.unwrap(), jobs[..1]);
    }

    /// Stage, refusal, attempts and the WHMCS order, and filters by the first two.
    pub async fn an_order_is_listed_with_its_last_job_and_its_refusal(&self) {
        let begun = self.clock.now();
        self.placed(1, 41).await;
        let failed = self.refused(2).await;
        self.enqueue(new_job("e3", order_id(3), None)).await;
        let stage = |stage| OrderQuery {
            stage: Some(stage),
            ..everything()
        };
        let ended = |outcome| stage(JobStage::Ended(outcome));
        let row = self.listed(&ended(JobOutcome::Succeeded)).await.pop().unwrap();
        assert_eq!((row.order, row.attempts), (order_id(1), 1));
        assert_eq!(row.whmcs_order, Some(WhmcsOrderId(41)));
        let code = OrderQuery {
            code: Some(Code::OrderEmpty),
            ..everything()
        };
        let row = self.listed(&code).await.pop().unwrap();
        assert_eq!(row.order, order_id(2));
        assert_eq!(row.stage, JobStage::Ended(JobOutcome::Failed));
        assert_eq!(self.ids(stage(JobStage::Queued)).await, [order_id(3)]);
        let claimed = self.claim_one().await;
        assert_eq!(self.ids(stage(JobStage::Leased)).await, [order_id(3)]);
        assert!(self.ids(stage(JobStage::Queued)).await.is_empty());
        let view = self.store.job(&claimed.job.id).await.unwrap().unwrap();
        assert_eq!((view.state, view.job), ("leased", claimed.job));
        // Asked for again: the refusal stays until somebody looks at the order again.
        self.enqueue(new_job("e4", order_id(2), None)).await;
        let row = self.listed(&code).await.pop().unwrap();
        assert_eq!(row.stage, JobStage::Queued);
        let finished_jobs = self.store.finished_jobs(begun, 9).await.unwrap();
        let told: Vec<_> = finished_jobs
            .iter()
            .map(|view| (view.outcome, view.code))
            .collect();
        let expected = [
            (JobOutcome::Failed, Some(Code::OrderEmpty)),
            (JobOutcome::Succeeded, None),
        ];
        assert_eq!(told, expected);
        assert_eq!(finished_jobs[0].job, failed);
        let later = finished_jobs[0].ended_at + MOMENT;
        assert!(self.store.finished_jobs(later, 9).await.unwrap().is_empty());
    }

    /// With who and why, and in the audit log.
    pub async fn a_handled_order_is_marked_until_it_is_asked_for_again(&self) {
        self.refused(1).await;
        let order = order_id(1);
        assert_eq!(self.do_it(&AdminCommand::Handle { order }).await, CommandResult::Done);
        let row = self.listed(&everything()).await.pop().unwrap();
        let handled = row.handled.unwrap();
        assert_eq!(
            (handled.who.as_str(), handled.why.as_str()),
            ("ada", "because")
        );
        let log = self.store.audit(9).await.unwrap();
        assert_eq!(log.len(), 1);
        assert_eq!(
            (log[0].act.as_str(), log[0].who.as_str()),
            ("handle", "ada")
        );
        assert_eq!(log[0].subject, order.as_str());
        self.enqueue(new_job("retry", order, None)).await;
        assert_eq!(self.listed(&everything()).await[0].handled, None);
        let unknown = AdminCommand::Handle { order: order_id(9) };
        assert_eq!(self.do_it(&unknown).await, CommandResult::NotFound);
        assert_eq!(self.store.audit(9).await.unwrap(), log, "nothing was done");
    }

    /// The intent stands before anybody is asked; an order is only marked while nothing has
    /// happened to it since.
    pub async fn asking_again_is_told_before_and_after(&self) {
        let asked = |n, answer| AdminCommand::RetryRequested {
            order: order_id(n),
            answer,
        };
        for n in [1, 2] {
            self.refused(n).await;
            self.clock.advance(MOMENT);
            let act = AdminCommand::RequestRetry { order: order_id(n) };
            assert_eq!(self.do_it(&act).await, CommandResult::Done);
            assert_eq!(self.listed(&everything()).await[0].handled, None);
        }
        self.do_it(&asked(1, None)).await;
        assert!(self.ids_handled().await.is_empty());
        self.do_it(&asked(1, Some(RetryAnswer::Asked))).await;
        // This attempt was quicker, and nobody has seen to what comes of it.
        self.clock.advance(MOMENT);
        self.enqueue(new_job("retry", order_id(2), None)).await;
        self.do_it(&asked(2, Some(RetryAnswer::Asked))).await;
        assert_eq!(self.ids_handled().await, [order_id(1)]);
        let log = self.store.audit(9).await.unwrap();
        let acts: Vec<_> = log.iter().rev().map(|line| line.act.as_str()).collect();
        assert_eq!(
            acts,
            [
                "ask_again",
                "ask_again",
                "asked_again",
                "asked_again",
                "asked_again"
            ]
        );
        assert_eq!(
            log[2].subject,
            format!("{}: Salesforce did not do it", order_id(1))
        );
    }

    async fn ids_handled(&self) -> Vec<OrderId> {
        let mut rows = self.listed(&everything()).await;
        rows.retain(|row| row.handled.is_some());
        rows.iter().map(|row| row.order).collect()
    }

    /// Open letters and closed ones.
    pub async fn a_dead_letter_is_dismissed_once_and_gaps_are_told(&self) {
        let epoch = self.lead().await;
        let letter = |event: &str| DeadLetter {
            event: EventId::new(event).unwrap(),
            replay_id: ReplayId::new(vec![1]),
            undecodable: Undecodable {
                reason: UndecodableReason::Malformed,
                detail: "3 bytes left over".to_owned(),
                schema_id: "s".to_owned(),
                payload: vec![1, 2, 3],
                fields: Vec::new(),
            },
        };
        let entries = ["bad", "worse"].map(|event| Entry::DeadLetter(letter(event)));
        let delivery = self.delivery(epoch, entries.into(), 2);
        self.store.accept(&delivery).await.unwrap();
        let letters = self.store.dead_letters(true, None, 9).await.unwrap();
        assert_eq!(letters.len(), 2);
        assert_eq!(letters[0].letter, letter("worse"));
        let dismiss = AdminCommand::Dismiss {
            letter: letters[0].number,
        };
        assert_eq!(self.do_it(&dismiss).await, CommandResult::Done);
        assert_eq!(self.do_it(&dismiss).await, CommandResult::NotFound);
        let open = self.store.dead_letters(true, None, 9).await.unwrap();
        assert_eq!(open, letters[1..]);
        let all = self.store.dead_letters(false, None, 9).await.unwrap();
        assert!(all[0].closed_at.is_some());
        let behind = self.store.dead_letters(false, Some(all[0].number), 9).await;
        assert_eq!(behind.unwrap(), letters[1..]);
        assert_eq!(self.store.queue_stats().await.unwrap().open_dead_letters, 1);
        let gap = Gap {
            from: None,
            detail: "aged out".to_owned(),
        };
        self.store
            .record_cursor_loss(&channel(), epoch, &gap)
            .await
            .unwrap();
        let gaps = self.store.gaps(9).await.unwrap();
        assert_eq!((gaps.len(), gaps[0].detail.as_str()), (1, "aged out"));
    }

    /// The leader's term is over at once; when it is let go on, a new one begins.
    pub async fn a_paused_intake_is_led_by_nobody(&self) {
        let epoch = self.lead().await;
        let what = Pausable::Intake(channel());
        let pause = AdminCommand::Pause { what: what.clone() };
        assert_eq!(self.do_it(&pause).await, CommandResult::Done);
        let job = Entry::Job(new_job("e1", order_id(1), None));
        let stale = self.store.accept(&self.delivery(epoch, vec![job], 9)).await;
        assert!(matches!(stale, Err(StoreError::NotLeader)));
        for name in ["sub-a", "sub-b"] {
            let asked = self.store.lead(&channel(), &owner(name), TTL).await;
            let Leadership::Paused { by, reason, .. } = asked.unwrap() else {
                panic!("it is paused");
            };
            assert_eq!((by.as_str(), reason.as_str()), ("ada", "because"));
        }
        let pauses = self.store.pauses().await.unwrap();
        assert_eq!((pauses.len(), &pauses[0].what), (1, &what));
        let resume = AdminCommand::Resume { what };
        assert_eq!(self.do_it(&resume).await, CommandResult::Done);
        assert_eq!(self.do_it(&resume).await, CommandResult::NotFound);
        assert!(self.lead().await > epoch);
    }

    /// Neither a new job nor one whose lease ran out; heartbeats and endings go on.
    pub async fn paused_workers_keep_what_they_have_and_take_nothing(&self) {
        for n in 1..=3 {
            self.enqueue(new_job(&format!("e{n}"), order_id(n), None))
                .await;
        }
        let mut in_hand = self.claim(2).await;
        let what = Pausable::Worker;
        let pause = AdminCommand::Pause { what: what.clone() };
        assert_eq!(self.do_it(&pause).await, CommandResult::Done);
        assert!(self.claim(9).await.is_empty());
        let kept = in_hand.remove(0).lease;
        self.store
            .finish(&kept, JobOutcome::Succeeded, &[], &[])
            .await
            .unwrap();
        self.clock.advance(TTL);
        assert!(self.claim(9).await.is_empty());
        assert_eq!(self.do_it(&AdminCommand::Resume { what }).await, CommandResult::Done);
        assert_eq!(self.claim(9).await.len(), 2);
    }

    /// The old term ends, the new one starts where the person said.
    pub async fn a_cursor_that_a_person_sets_is_not_moved_back_by_the_old_leader(&self) {
        let epoch = self.lead().await;
        self.store
            .accept(&self.delivery(epoch, Vec::new(), 7))
            .await
            .unwrap();
        let set = AdminCommand::SetCursor {
            channel: channel(),
            replay_id: ReplayId::new(vec![3]).unwrap(),
        };
        assert_eq!(self.do_it(&set).await, CommandResult::Done);
        let late = self.delivery(epoch, Vec::new(), 8);
        let refused = self.store.accept(&late).await;
        assert!(matches!(refused, Err(StoreError::NotLeader)));
        let cursor = self.store.cursor(&channel()).await.unwrap().unwrap();
        assert_eq!(cursor.replay_id.as_bytes(), [3]);
        let next = self.lead().await;
        assert!(next > epoch);
        let reset = AdminCommand::ResetCursor { channel: channel() };
        assert_eq!(self.do_it(&reset).await, CommandResult::Done);
        assert_eq!(self.store.cursor(&channel()).await.unwrap(), None);
        let late = self.delivery(next, Vec::new(), 8);
        let refused = self.store.accept(&late).await;
        assert!(matches!(refused, Err(StoreError::NotLeader)));
    }

    /// The fact is there for the next claim, and the list shows no WHMCS order any more.
    pub async fn a_whmcs_order_is_forgotten_only_while_nobody_works_on_it(&self) {
        let whmcs_order = WhmcsOrderId(41);
        self.placed(1, whmcs_order.0).await;
        self.enqueue(new_job("again", order_id(1), None)).await;
        let claimed = self.claim_one().await;
        let order = order_id(1);
        let forget = AdminCommand::Forget { order, whmcs_order };
        assert_eq!(self.do_it(&forget).await, CommandResult::Running);
        self.store
            .finish(&claimed.lease, JobOutcome::Skipped, &[], &[])
            .await
            .unwrap();
        assert_eq!(self.do_it(&forget).await, CommandResult::Done);
        let forgotten = Fact::Forgotten { order: whmcs_order };
        let facts = self.store.facts_of(order).await.unwrap();
        assert_eq!(facts.last().map(|last| &last.fact), Some(&forgotten));
        assert_eq!(self.listed(&everything()).await[0].whmcs_order, None);
        let unknown = AdminCommand::Forget {
            order: order_id(9),
            whmcs_order,
        };
        assert_eq!(self.do_it(&unknown).await, CommandResult::NotFound);
    }
}
