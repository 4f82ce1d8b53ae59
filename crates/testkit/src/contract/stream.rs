//! What is kept of a stream for people: letters that are read again, and where its position was.

use domain::job::Admission;
use domain::key::{EventId, ReplayId};
use domain::ports::{
    AdminCommand, CommandResult, CursorMark, DeadLetter, Delivery, Entry, Epoch, Gap, JobIntake, JobQueue,
    JobReader, MarkKind, StoreError, Undecodable, UndecodableReason,
};

use super::{Subject, TTL};
use crate::{channel, new_job, order_id};

impl<S: JobIntake + JobQueue + JobReader> Subject<'_, S> {
    /// Asked for, read again under the leader's term, and then closed with its job or open with
    /// the new reason: once, whoever asks how often.
    pub async fn a_dead_letter_is_read_again_once_it_is_asked_for(&self) {
        let epoch = self.lead().await;
        let letters = ["a", "b"].map(|event| {
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
        let delivery = self.delivery(epoch, letters.into(), 1);
        self.store.accept(&delivery).await.unwrap();
        let asked = || async {
            let asked = self.store.requested_redrives(&channel(), 9).await.unwrap();
            asked.iter().map(|view| view.number).collect::<Vec<_>>()
        };
        let mut all = self.store.dead_letters(true, None, 9).await.unwrap();
        all.sort_by_key(|view| view.number);
        let (first, second) = (all[0].number, all[1].number);
        let job = Ok(new_job("a", order_id(1), None));
        let redrive = |letter, epoch, read| async move {
            self.store.redrive(&channel(), epoch, letter, read).await
        };
        assert!(asked().await.is_empty());
        let idle = redrive(first, epoch, &job).await.unwrap();
        assert_eq!(idle, Admission::SameDelivery, "nobody asked for it");
        for letter in [second, first, first] {
            assert_eq!(self.do_it(&AdminCommand::Redrive { letter }).await, CommandResult::Done);
        }
        assert_eq!(asked().await, [first, second]);
        let stale = redrive(first, Epoch(epoch.0 - 1), &job).await;
        assert!(matches!(stale, Err(StoreError::NotLeader)));
        assert_eq!(
            asked().await,
            [first, second],
            "it waits for the new leader"
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
        assert!(asked().await.is_empty());
        let open = self.store.dead_letters(true, None, 9).await.unwrap();
        assert_eq!(open.len(), 1);
        assert_eq!(Err(open[0].letter.undecodable.clone()), unreadable);
        assert_eq!(open[0].letter.replay_id, ReplayId::new(vec![1]));
        let gone = AdminCommand::Redrive { letter: first };
        assert_eq!(self.do_it(&gone).await, CommandResult::NotFound);
        let jobs = self.store.jobs_of(order_id(1)).await.unwrap();
        assert_eq!(jobs.len(), 1);
        assert_eq!(self.store.queue_stats().await.unwrap().open_dead_letters, 1);
    }

    /// Found lost again by whoever leads next, it is the same loss; a position that a delivery
    /// or a person put in its place is another.
    pub async fn a_lost_position_leaves_one_gap(&self) {
        let mut epoch = self.lead().await;
        let gap = Gap {
            from: None,
            detail: "aged out".to_owned(),
        };
        let lose = async |epoch| {
            let channel = channel();
            let lost = self.store.record_cursor_loss(&channel, epoch, &gap);
            lost.await.unwrap();
            self.store.gaps(9).await.unwrap().len()
        };
        self.store
            .accept(&self.delivery(epoch, Vec::new(), 7))
            .await
            .unwrap();
        assert_eq!(lose(epoch).await, 1);
        let junk = Delivery {
            cursor: None,
            ..self.delivery(epoch, Vec::new(), 7)
        };
        self.store.accept(&junk).await.unwrap();
        self.clock.advance(TTL);
        epoch = self.lead().await;
        assert_eq!(lose(epoch).await, 1);
        let marks = self.store.cursor_history(&channel(), 99).await.unwrap();
        let lost = marks.iter().filter(|mark| mark.kind == MarkKind::Lost);
        assert_eq!(lost.count(), 1);
        // The same position, stored anew, can be lost anew.
        self.store
            .accept(&self.delivery(epoch, Vec::new(), 7))
            .await
            .unwrap();
        assert_eq!(lose(epoch).await, 2);
        let set = AdminCommand::SetCursor {
            channel: channel(),
            replay_id: ReplayId::new(vec![3]).unwrap(),
        };
        self.do_it(&set).await;
        epoch = self.lead().await;
        assert_eq!(lose(epoch).await, 3);
        assert_eq!(lose(epoch).await, 3);
        let reset = AdminCommand::ResetCursor { channel: channel() };
        self.do_it(&reset).await;
        epoch = self.lead().await;
        assert_eq!(lose(epoch).await, 4);
    }

    /// Sampled as it moves and not more often, and told whenever somebody leads, moves it or
    /// loses it.
    pub async fn the_position_has_a_history(&self) {
        let epoch = self.lead().await;
        for position in [1, 2] {
            let moved = self.delivery(epoch, Vec::new(), position);
            self.store.accept(&moved).await.unwrap();
        }
        let gap = Gap {
            from: None,
            detail: "aged out".to_owned(),
        };
        self.store
            .record_cursor_loss(&channel(), epoch, &gap)
            .await
            .unwrap();
        let set = AdminCommand::SetCursor {
            channel: channel(),
            replay_id: ReplayId::new(vec![9]).unwrap(),
        };
        self.do_it(&set).await;
        self.clock.advance(CursorMark::EVERY);
        let epoch = self.lead().await;
        let moved = self.delivery(epoch, Vec::new(), 10);
        self.store.accept(&moved).await.unwrap();
        let reset = AdminCommand::ResetCursor { channel: channel() };
        self.do_it(&reset).await;
        let marks = self.store.cursor_history(&channel(), 99).await.unwrap();
        let told: Vec<_> = marks
            .iter()
            .rev()
            .map(|mark| {
                let position = mark.replay_id.as_ref().map(|id| id.as_bytes()[0]);
                (mark.kind, position)
            })
            .collect();
        assert_eq!(
            told,
            [
                (MarkKind::Term, None),
                (MarkKind::Sampled, Some(1)),
                (MarkKind::Lost, Some(2)),
                (MarkKind::Set, Some(9)),
                (MarkKind::Term, Some(9)),
                (MarkKind::Sampled, Some(10)),
                (MarkKind::Reset, None),
            ]
        );
        assert_eq!(marks[0].detail, "ada: because");
        assert_eq!(marks[4].detail, "aged out");
        let two = self.store.cursor_history(&channel(), 2).await.unwrap();
        assert_eq!(two, marks[..2]);
    }
}
