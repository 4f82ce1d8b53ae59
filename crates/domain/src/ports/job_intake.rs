//! The store as the subscriber sees it.

use std::time::Duration;

use async_trait::async_trait;

use crate::job::{Admission, NewJob};
use crate::key::{Channel, EventId, Owner, ReplayId};
use crate::ports::{
    AdminCommand, Alert, CommandResult, DeadLetterView, ProcessReport, StoreError, Undecodable,
};
use crate::time::Timestamp;

/// A stored position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Where the next stream starts after.
    pub replay_id: ReplayId,
    /// When it was committed, by the store's clock.
    pub committed_at: Timestamp,
}

/// Which term of leadership a write belongs to. Higher terms came later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub i64);

/// Who may move the cursor of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// We lead, in this term.
    Leader(Epoch),
    /// Somebody else leads; its lease ends then unless it is renewed.
    Standby {
        /// When the other's lease ends.
        until: Timestamp,
    },
    /// A person holds this channel's intake back: nobody leads. Ask again in a while.
    Paused {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
}

/// What one message of the stream becomes: one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The channel.
    pub channel: Channel,
    /// Our term; a stale leader's delivery changes nothing.
    pub epoch: Epoch,
    /// Jobs and dead letters, in the stream's order.
    pub entries: Vec<Entry>,
    /// The new position; `None` leaves it where it is.
    pub cursor: Option<ReplayId>,
}

/// One event of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A request that can be acted on.
    Job(NewJob),
    /// An event that cannot.
    DeadLetter(DeadLetter),
}

/// An event nobody can act on, kept for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its identity.
    pub event: EventId,
    /// Its position.
    pub replay_id: Option<ReplayId>,
    /// Why, with its bytes.
    pub undecodable: Undecodable,
}

/// A stretch of the stream that was lost, or may have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Events before this time were received. The gap ends where it is recorded, by the
    /// store's clock.
    pub from: Option<Timestamp>,
    /// What happened and what was done about it.
    pub detail: String,
}

/// Nothing younger than this is ever pruned: the bus may deliver events of the last three
/// days again.
pub const MIN_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// No line of the audit log is pruned before this age, whatever is asked for.
pub const AUDIT_RETENTION: Duration = Duration::from_secs(400 * 24 * 3600);

/// What was pruned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Jobs that had ended.
    pub jobs: u64,
    /// Remembered event ids.
    pub events: u64,
    /// Facts of orders that WHMCS was never asked to do anything for.
    pub facts: u64,
    /// Dead letters that somebody had dealt with.
    pub dead_letters: u64,
    /// Gaps, but never the newest of a channel.
    pub gaps: u64,
    /// Lines of the audit log.
    pub audit: u64,
}

impl std::ops::AddAssign for Pruned {
    fn add_assign(&mut self, more: Self) {
        self.jobs += more.jobs;
        self.events += more.events;
        self.facts += more.facts;
        self.dead_letters += more.dead_letters;
        self.gaps += more.gaps;
        self.audit += more.audit;
    }
}

/// The subscriber's view of the store. Every time it keeps is read off the store's own
/// clock.
#[async_trait]
pub trait JobIntake: Send + Sync {
    /// Takes or renews leadership of the channel for `ttl` by the store's clock. A new term
    /// begins whenever the leader changes or its lease had run out.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: whether we lead is unknown; act as if not.
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError>;

    /// Gives leadership up at once, so that a standby need not wait. Harmless when we do not
    /// lead.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the lease runs out by itself.
    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError>;

    /// The stored position, or `None` while there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn cursor(&self, channel: &Channel) -> Result<Option<Cursor>, StoreError>;

    /// In ONE commit: makes a job of every request that is new (see [`crate::job::admit`]),
    /// keeps the dead letters, remembers the event ids, and moves the cursor. After a crash
    /// either all of it is there or nothing. Repeating it changes nothing.
    ///
    /// Answers what became of each entry, in their order.
    ///
    /// # Errors
    /// [`StoreError::NotLeader`] when the term is over; [`StoreError::Unstorable`] for an entry
    /// that the store cannot hold, with nothing of the delivery written;
    /// [`StoreError::Unavailable`].
    async fn accept(&self, delivery: &Delivery) -> Result<Vec<Admission>, StoreError>;

    /// Records that the bus does not know the stored position any more. The position stays
    /// until a delivery or a person puts another in its place: whoever leads after a crash finds
    /// it lost again, and not a store that never had one. There is one gap per lost position:
    /// repeating it changes nothing, whoever repeats it in which term.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> Result<(), StoreError>;

    /// Enqueues jobs that did not come from the stream; same rules, one commit, no cursor.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Admission>, StoreError>;

    /// Open dead letters of the channel that a person wants read again, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn requested_redrives(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError>;

    /// What came of reading a letter again, in ONE commit under the leader's epoch: makes its
    /// job by the ordinary rules and closes the letter, or keeps it open with the new reason;
    /// either way it waits no more. After a crash it still waits, or all of it is there.
    /// Repeating it changes nothing, and neither does it for a letter that does not wait:
    /// [`Admission::SameDelivery`].
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    async fn redrive(
        &self,
        channel: &Channel,
        epoch: Epoch,
        letter: i64,
        read: &Result<NewJob, Undecodable>,
    ) -> Result<Admission, StoreError>;

    /// Does what a person asks, in ONE commit with its line in the audit log, by the store's
    /// clock. A paused intake's leader loses its term at once, and so does the leader of a
    /// channel whose cursor is set or reset: nothing of the old term can be written behind it.
    /// Repeating an act that is done leaves the store as it is, with one more line in the log,
    /// or answers [`CommandResult::NotFound`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: whether it was done is unknown; look before repeating it.
    async fn act(
        &self,
        act: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> Result<CommandResult, StoreError>;

    /// Forgets, in small commits, what is older than `older_than` and no longer needed:
    /// jobs that ended with the calls they made, event ids, the facts of orders without a job for
    /// which WHMCS was never asked to do anything ([`Fact::binds`](crate::order::Fact::binds)),
    /// dead letters that were closed, gaps but the newest of each channel, and lines of the audit
    /// log. The facts of every other order are kept for good: they tell that it was provisioned
    /// already. [`MIN_RETENTION`] and, for the audit log, [`AUDIT_RETENTION`] hold whatever
    /// is asked for. May be repeated, and stopped in
    /// between. A store that cannot forget keeps everything.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: some of it may be gone.
    async fn prune(&self, older_than: Duration) -> Result<Pruned, StoreError> {
        let _ = older_than;
        Ok(Pruned::default())
    }

    /// Notes what a process says of itself, in place of what it said before, and forgets the
    /// processes that were not heard of for
    /// [`PROCESS_REMOVED_AFTER`](crate::ports::PROCESS_FORGOTTEN_AFTER). May be lost in a
    /// crash; the next report makes up for it. A store that keeps none answers as well.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn report_process(&self, report: &ProcessReport) -> Result<(), StoreError> {
        let _ = report;
        Ok(())
    }

    /// Forgets a process that ends. Harmless when it is not known.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it is forgotten by itself, later.
    async fn retire_process(&self, id: &Owner) -> Result<(), StoreError> {
        let _ = id;
        Ok(())
    }

    /// Keeps alerts, each in place of the one of its name, in ONE commit that is compared with
    /// the term of whoever leads the `watch` (see [`lead`](Self::lead); a watch is led as a
    /// channel is). After a crash all of them are there or none. May be repeated.
    ///
    /// # Errors
    /// [`StoreError::NotLeader`] when the term is over: nothing was written;
    /// [`StoreError::Unavailable`].
    async fn save_alerts(
        &self,
        watch: &Channel,
        epoch: Epoch,
        alerts: &[Alert],
    ) -> Result<(), StoreError> {
        let _ = (watch, epoch, alerts);
        Ok(())
    }
}
