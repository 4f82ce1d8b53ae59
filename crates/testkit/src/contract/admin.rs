//! Admin commands and the views of operators.

use std::time::Duration;

use crate::JobQueueExt;
use domain::failure::{Code, Refusal};
use domain::id::{AccountId, OrderId};
use domain::job::JobOutcome;
use domain::key::{EventId, JobId, ReplayId, WhmcsOrderId};
use domain::order::{Fact, RetryAnswer};
use domain::ports::{Clock, Entry, Leadership, StoreError};
use operations::{AdminCommand, CommandResult, JobStage, JobStore, OrderQuery, OrderRow, Pausable};

use super::{Subject, TTL};
use crate::{channel, dead_letter, delivery, new_job, order_id, owner};

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

impl<S: JobStore> Subject<'_, S> {
    async fn listed(&self, query: &OrderQuery) -> Vec<OrderRow> {
        self.store.orders(query).await.unwrap()
    }

    async fn ids(&self, query: OrderQuery) -> Vec<OrderId> {
        let rows = self.listed(&query).await;
        rows.into_iter().map(|row| row.order).collect()
    }

    pub(super) async fn execute(&self, command: &AdminCommand) -> CommandResult {
        self.store.execute(command, "ada", "because").await.unwrap()
    }

    /// Enqueues the order and finishes its job with this outcome.
    async fn run_job(&self, n: u32, outcome: JobOutcome, facts: &[Fact]) -> JobId {
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
        self.run_job(n, JobOutcome::Succeeded, &[Fact::Placed { order }])
            .await
    }

    async fn refused(&self, n: u32) -> JobId {
        let refusal = Refusal::new(Code::OrderEmpty, "no products");
        self.run_job(
            n,
            JobOutcome::Failed,
            &[Fact::Refused(refusal), Fact::Reported],
        )
        .await
    }

    /// Order id of either length, order number, WHMCS order, account.
    pub async fn orders_are_found_by_any_identifier(&self) {
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

    /// A search for what no store can hold finds nothing, on every store.
    pub async fn control_characters_in_a_search_find_nothing(&self) {
        self.placed(1, 41).await;
        for text in ["\0", "00000001\0", "41\0", "\u{1b}[2J", "\u{202e}"] {
            let query = OrderQuery {
                text: Some(text.to_owned()),
                ..everything()
            };
            assert!(self.ids(query).await.is_empty(), "{text:?}");
        }
        let order = format!("{}\0", order_id(1));
        let query = OrderQuery {
            text: Some(order),
            ..everything()
        };
        assert!(self.ids(query).await.is_empty());
    }

    /// Keyset pagination; activity moves an order to the front.
    pub async fn orders_are_paged_newest_first(&self) {
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

    /// Stage, error code, attempts and the WHMCS order, with filters by the first two.
    pub async fn order_list_shows_last_job_and_error_code(&self) {
        let started = self.clock.now();
        self.placed(1, 41).await;
        let failed = self.refused(2).await;
        self.enqueue(new_job("e3", order_id(3), None)).await;
        let stage = |stage| OrderQuery {
            stage: Some(stage),
            ..everything()
        };
        let ended = |outcome| stage(JobStage::Ended(outcome));
        let row = self
            .listed(&ended(JobOutcome::Succeeded))
            .await
            .pop()
            .unwrap();
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
        assert_eq!((view.stage, view.job), (JobStage::Leased, claimed.job));
        // After a retry request, the error code stays until the order is checked again.
        self.enqueue(new_job("e4", order_id(2), None)).await;
        let row = self.listed(&code).await.pop().unwrap();
        assert_eq!(row.stage, JobStage::Queued);
        let finished_jobs = self.store.finished_jobs(started, 9).await.unwrap();
        let finished: Vec<_> = finished_jobs
            .iter()
            .map(|view| (view.outcome, view.code))
            .collect();
        let expected = [
            (JobOutcome::Failed, Some(Code::OrderEmpty)),
            (JobOutcome::Succeeded, None),
        ];
        assert_eq!(finished, expected);
        assert_eq!(finished_jobs[0].job, failed);
        let later = finished_jobs[0].ended_at + MOMENT;
        assert!(self.store.finished_jobs(later, 9).await.unwrap().is_empty());
    }

    /// Records who and why, also in the audit log.
    pub async fn acknowledgement_lasts_until_retry(&self) {
        self.refused(1).await;
        let order = order_id(1);
        assert_eq!(
            self.execute(&AdminCommand::Handle { order }).await,
            CommandResult::Done
        );
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
        assert_eq!(self.execute(&unknown).await, CommandResult::NotFound);
        assert_eq!(self.store.audit(9).await.unwrap(), log, "nothing was done");
    }

    /// The intent is audited before the call; the order is acknowledged only if nothing has
    /// happened to it since.
    pub async fn retry_is_audited_before_and_after(&self) {
        let asked = |n, answer| AdminCommand::RetryRequested {
            order: order_id(n),
            answer,
        };
        for n in [1, 2] {
            self.refused(n).await;
            self.clock.advance(MOMENT);
            let command = AdminCommand::RequestRetry { order: order_id(n) };
            assert_eq!(self.execute(&command).await, CommandResult::Done);
            assert_eq!(self.listed(&everything()).await[0].handled, None);
        }
        self.execute(&asked(1, None)).await;
        assert!(self.ids_handled().await.is_empty());
        self.execute(&asked(1, Some(RetryAnswer::Asked))).await;
        // This attempt was faster, so its result is not acknowledged.
        self.clock.advance(MOMENT);
        self.enqueue(new_job("retry", order_id(2), None)).await;
        self.execute(&asked(2, Some(RetryAnswer::Asked))).await;
        assert_eq!(self.ids_handled().await, [order_id(1)]);
        let log = self.store.audit(9).await.unwrap();
        let commands: Vec<_> = log.iter().rev().map(|line| line.act.as_str()).collect();
        assert_eq!(
            commands,
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

    /// The orders of another bridge are not in the store.
    pub async fn adoption_is_audited_without_a_job(&self) {
        let (order, whmcs_order) = (order_id(7), WhmcsOrderId(41));
        let command = AdminCommand::Adopt { order, whmcs_order };
        assert_eq!(self.execute(&command).await, CommandResult::Done);
        let log = self.store.audit(9).await.unwrap();
        assert_eq!((log.len(), log[0].act.as_str()), (1, "adopt"));
        assert_eq!(log[0].subject, format!("{order}, WHMCS order 41"));
        assert!(self.store.facts_of(order).await.unwrap().is_empty());
    }

    async fn ids_handled(&self) -> Vec<OrderId> {
        let mut rows = self.listed(&everything()).await;
        rows.retain(|row| row.handled.is_some());
        rows.iter().map(|row| row.order).collect()
    }

    /// Open and closed dead letters.
    pub async fn dead_letter_is_dismissed_once_and_gaps_are_listed(&self) {
        let epoch = self.lead().await;
        let entries = ["bad", "worse"].map(|event| Entry::DeadLetter(dead_letter(event)));
        self.accept(epoch, entries.into(), 2).await;
        let dead_letters = self.store.dead_letters(true, None, 9).await.unwrap();
        assert_eq!(dead_letters.len(), 2);
        assert_eq!(dead_letters[0].dead_letter, dead_letter("worse"));
        let dismiss = AdminCommand::Dismiss {
            dead_letter: dead_letters[0].number,
        };
        assert_eq!(self.execute(&dismiss).await, CommandResult::Done);
        assert_eq!(self.execute(&dismiss).await, CommandResult::NotFound);
        let open = self.store.dead_letters(true, None, 9).await.unwrap();
        assert_eq!(open, dead_letters[1..]);
        let all = self.store.dead_letters(false, None, 9).await.unwrap();
        assert!(all[0].closed_at.is_some());
        let behind = self.store.dead_letters(false, Some(all[0].number), 9).await;
        assert_eq!(behind.unwrap(), dead_letters[1..]);
        assert_eq!(self.store.queue_stats().await.unwrap().open_dead_letters, 1);
        self.lose_cursor(epoch).await;
        let gaps = self.store.gaps(9).await.unwrap();
        assert_eq!((gaps.len(), gaps[0].detail.as_str()), (1, "aged out"));
    }

    /// A pause ends the leader's epoch at once; resuming starts a new one.
    pub async fn paused_intake_has_no_leader(&self) {
        let epoch = self.lead().await;
        let what = Pausable::Intake(channel());
        let pause = AdminCommand::Pause { what: what.clone() };
        assert_eq!(self.execute(&pause).await, CommandResult::Done);
        let job = Entry::Job(new_job("e1", order_id(1), None));
        let stale = self.store.accept(&delivery(epoch, vec![job], 9)).await;
        assert!(matches!(stale, Err(StoreError::NotLeader)));
        for name in ["sub-a", "sub-b"] {
            let leadership = self.store.lead(&channel(), &owner(name), TTL).await;
            let Leadership::Paused { by, reason, .. } = leadership.unwrap() else {
                panic!("it is paused");
            };
            assert_eq!((by.as_str(), reason.as_str()), ("ada", "because"));
        }
        let pauses = self.store.pauses().await.unwrap();
        assert_eq!((pauses.len(), &pauses[0].what), (1, &what));
        let resume = AdminCommand::Resume { what };
        assert_eq!(self.execute(&resume).await, CommandResult::Done);
        assert_eq!(self.execute(&resume).await, CommandResult::NotFound);
        assert!(self.lead().await > epoch);
    }

    /// No new job and no expired one is claimed; heartbeats and finishing continue.
    pub async fn paused_workers_keep_leases_and_claim_nothing(&self) {
        for n in 1..=3 {
            self.enqueue(new_job(&format!("e{n}"), order_id(n), None))
                .await;
        }
        let mut claimed = self.claim(2).await;
        let what = Pausable::Worker;
        let pause = AdminCommand::Pause { what: what.clone() };
        assert_eq!(self.execute(&pause).await, CommandResult::Done);
        assert!(self.claim(9).await.is_empty());
        let kept = claimed.remove(0).lease;
        self.store
            .finish(&kept, JobOutcome::Succeeded, &[], &[])
            .await
            .unwrap();
        self.clock.advance(TTL);
        assert!(self.claim(9).await.is_empty());
        assert_eq!(
            self.execute(&AdminCommand::Resume { what }).await,
            CommandResult::Done
        );
        assert_eq!(self.claim(9).await.len(), 2);
    }

    /// Setting the cursor ends the epoch; the next leader starts there.
    pub async fn old_leader_cannot_overwrite_cursor_set_by_operator(&self) {
        let epoch = self.lead().await;
        self.accept(epoch, Vec::new(), 7).await;
        let set = AdminCommand::SetCursor {
            channel: channel(),
            replay_id: ReplayId::new(vec![3]).unwrap(),
        };
        assert_eq!(self.execute(&set).await, CommandResult::Done);
        let late = delivery(epoch, Vec::new(), 8);
        let refused = self.store.accept(&late).await;
        assert!(matches!(refused, Err(StoreError::NotLeader)));
        let cursor = self.store.cursor(&channel()).await.unwrap().unwrap();
        assert_eq!(cursor.replay_id.as_bytes(), [3]);
        let next = self.lead().await;
        assert!(next > epoch);
        let reset = AdminCommand::ResetCursor { channel: channel() };
        assert_eq!(self.execute(&reset).await, CommandResult::Done);
        assert_eq!(self.store.cursor(&channel()).await.unwrap(), None);
        let late = delivery(next, Vec::new(), 8);
        let refused = self.store.accept(&late).await;
        assert!(matches!(refused, Err(StoreError::NotLeader)));
    }

    /// The fact is in the next claim, and the list shows no WHMCS order.
    pub async fn whmcs_order_cannot_be_forgotten_while_leased(&self) {
        let whmcs_order = WhmcsOrderId(41);
        self.placed(1, whmcs_order.0).await;
        self.enqueue(new_job("again", order_id(1), None)).await;
        let claimed = self.claim_one().await;
        let order = order_id(1);
        let forget = AdminCommand::Forget { order, whmcs_order };
        assert_eq!(self.execute(&forget).await, CommandResult::Running);
        self.finish(&claimed, JobOutcome::Skipped, &[]).await;
        assert_eq!(self.execute(&forget).await, CommandResult::Done);
        let forgotten = Fact::Forgotten { order: whmcs_order };
        let facts = self.store.facts_of(order).await.unwrap();
        assert_eq!(facts.last().map(|last| &last.fact), Some(&forgotten));
        assert_eq!(self.listed(&everything()).await[0].whmcs_order, None);
        let unknown = AdminCommand::Forget {
            order: order_id(9),
            whmcs_order,
        };
        assert_eq!(self.execute(&unknown).await, CommandResult::NotFound);
    }
}
