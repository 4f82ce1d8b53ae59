//! Redrives of dead letters, and the cursor history.

use domain::job::Admission;
use domain::key::{EventId, ReplayId};
use domain::ports::{
    DeadLetter, Delivery, Entry, Epoch, StoreError, Undecodable, UndecodableReason,
};
use operations::{AdminCommand, CommandResult, CursorChange, CursorHistoryEntry, JobStore};

use super::{Subject, TTL};
use crate::{channel, delivery, new_job, order_id};

impl<S: JobStore> Subject<'_, S> {
    /// A requested dead letter is decoded again under the leader's epoch, then closed with its
    /// job or left open with the new reason, exactly once.
    pub async fn dead_letter_is_redriven_once_when_requested(&self) {
        let epoch = self.lead().await;
        let dead_letters = ["a", "b"].map(|event| {
            Entry::DeadLetter(DeadLetter {
                event: EventId::new(event).unwrap(),
                replay_id: ReplayId::new(vec![1]),
                undecodable: Undecodable {
                    reason: UndecodableReason::UnknownSchema,
                    detail: "no such schema".to_owned(),
                    schema_id: "s".to_owned(),
                    payload: vec![0, 1],
                    fields: Vec::new(),
                },
            })
        });
        self.accept(epoch, dead_letters.into(), 1).await;
        let requested = || async {
            let requested = self.store.requested_redrives(&channel(), 9).await.unwrap();
            requested.iter().map(|view| view.number).collect::<Vec<_>>()
        };
        let mut all = self.store.dead_letters(true, None, 9).await.unwrap();
        all.sort_by_key(|view| view.number);
        let (first, second) = (all[0].number, all[1].number);
        let job = Ok(new_job("a", order_id(1), None));
        let redrive = |dead_letter, epoch, read| async move {
            self.store
                .redrive(&channel(), epoch, dead_letter, read)
                .await
        };
        assert!(requested().await.is_empty());
        let idle = redrive(first, epoch, &job).await.unwrap();
        assert_eq!(idle, Admission::SameDelivery, "no redrive requested");
        for dead_letter in [second, first, first] {
            assert_eq!(
                self.execute(&AdminCommand::Redrive { dead_letter }).await,
                CommandResult::Done
            );
        }
        assert_eq!(requested().await, [first, second]);
        let stale = redrive(first, Epoch::from_number(epoch.number() - 1), &job).await;
        assert!(matches!(stale, Err(StoreError::NotLeader)));
        assert_eq!(
            requested().await,
            [first, second],
            "waits for the new leader"
        );
        let made = redrive(first, epoch, &job).await.unwrap();
        assert_eq!(made, Admission::Enqueued);
        let repeat = redrive(first, epoch, &job).await.unwrap();
        assert_eq!(repeat, Admission::SameDelivery);
        let unreadable = Err(Undecodable {
            reason: UndecodableReason::MissingOrder,
            detail: "the event has no OrderId__c".to_owned(),
            schema_id: "s".to_owned(),
            payload: vec![0, 1],
            fields: vec![("RequestedBy__c".to_owned(), "<b>ü".to_owned())],
        });
        let kept = redrive(second, epoch, &unreadable).await.unwrap();
        assert_eq!(kept, Admission::DeadLettered);
        assert!(requested().await.is_empty());
        let open = self.store.dead_letters(true, None, 9).await.unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!(Err(open[0].dead_letter.undecodable.clone()), unreadable);
        assert_eq!(open[0].dead_letter.replay_id, ReplayId::new(vec![1]));
        let gone = AdminCommand::Redrive { dead_letter: first };
        assert_eq!(self.execute(&gone).await, CommandResult::NotFound);
        let jobs = self.store.jobs_of(order_id(1)).await.unwrap();
        assert_eq!(jobs.len(), 1);
        assert_eq!(self.store.queue_stats().await.unwrap().open_dead_letters, 1);
    }

    /// A loss that the next leader finds again is the same loss; after a delivery or an operator
    /// replaced the cursor it is another.
    pub async fn cursor_loss_records_one_gap(&self) {
        let mut epoch = self.lead().await;
        let lose = async |epoch| {
            self.lose_cursor(epoch).await;
            self.store.gaps(9).await.unwrap().len()
        };
        self.accept(epoch, Vec::new(), 7).await;
        assert_eq!(lose(epoch).await, 1);
        let junk = Delivery {
            cursor: None,
            ..delivery(epoch, Vec::new(), 7)
        };
        self.store.accept(&junk).await.unwrap();
        self.clock.advance(TTL);
        epoch = self.lead().await;
        assert_eq!(lose(epoch).await, 1);
        let marks = self.store.cursor_history(&channel(), 99).await.unwrap();
        let lost = marks.iter().filter(|mark| mark.kind == CursorChange::Lost);
        assert_eq!(lost.count(), 1);
        // The same replay id, stored again, can be lost again.
        self.accept(epoch, Vec::new(), 7).await;
        assert_eq!(lose(epoch).await, 2);
        let set = AdminCommand::SetCursor {
            channel: channel(),
            replay_id: ReplayId::new(vec![3]).unwrap(),
        };
        self.execute(&set).await;
        epoch = self.lead().await;
        assert_eq!(lose(epoch).await, 3);
        assert_eq!(lose(epoch).await, 3);
        let reset = AdminCommand::ResetCursor { channel: channel() };
        self.execute(&reset).await;
        epoch = self.lead().await;
        assert_eq!(lose(epoch).await, 4);
    }

    /// Sampled while the cursor moves, and recorded whenever a leader starts or the cursor is
    /// set, reset or lost.
    pub async fn cursor_has_history(&self) {
        let epoch = self.lead().await;
        for position in [1, 2] {
            self.accept(epoch, Vec::new(), position).await;
        }
        self.lose_cursor(epoch).await;
        let set = AdminCommand::SetCursor {
            channel: channel(),
            replay_id: ReplayId::new(vec![9]).unwrap(),
        };
        self.execute(&set).await;
        self.clock.advance(CursorHistoryEntry::EVERY);
        let epoch = self.lead().await;
        self.accept(epoch, Vec::new(), 10).await;
        let reset = AdminCommand::ResetCursor { channel: channel() };
        self.execute(&reset).await;
        let marks = self.store.cursor_history(&channel(), 99).await.unwrap();
        let marked: Vec<_> = marks
            .iter()
            .rev()
            .map(|mark| {
                let position = mark.replay_id.as_ref().map(|id| id.as_bytes()[0]);
                (mark.kind, position)
            })
            .collect();
        assert_eq!(
            marked,
            [
                (CursorChange::Term, None),
                (CursorChange::Sampled, Some(1)),
                (CursorChange::Lost, Some(2)),
                (CursorChange::Set, Some(9)),
                (CursorChange::Term, Some(9)),
                (CursorChange::Sampled, Some(10)),
                (CursorChange::Reset, None),
            ]
        );
        assert_eq!(marks[0].detail, "ada: because");
        assert_eq!(marks[4].detail, "aged out");
        let two = self.store.cursor_history(&channel(), 2).await.unwrap();
        assert_eq!(two, marks[..2]);
    }
}
