//! The store, for the subscriber and for operator commands.

use std::time::Duration;

use async_trait::async_trait;

use crate::job::{Admission, NewJob};
use crate::key::{Channel, EventId, Owner, ReplayId};
use crate::ports::{
    AdminCommand, Alert, CommandResult, DeadLetterView, ProcessReport, StoreError, Undecodable,
};
use crate::time::Timestamp;

/// A stored cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The position after which the next stream starts.
    pub replay_id: ReplayId,
    /// When it was committed, by the store's clock.
    pub committed_at: Timestamp,
}

/// The term of leadership that a write belongs to. Later terms are higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub i64);

/// Who may move the cursor of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// We lead, in this term.
    Leader(Epoch),
    /// Another process leads; its lease expires then unless it is renewed.
    Standby {
        /// When the leader's lease expires.
        until: Timestamp,
    },
    /// An operator paused this channel's intake: nobody leads. Try again later.
    Paused {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
}

/// The result of one message of the stream: one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The channel.
    pub channel: Channel,
    /// Our term. A stale leader's delivery changes nothing.
    pub epoch: Epoch,
    /// Jobs and dead letters, in the stream's order.
    pub entries: Vec<Entry>,
    /// The new cursor; `None` leaves it unchanged.
    pub cursor: Option<ReplayId>,
}

/// One event of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A request that can be processed.
    Job(NewJob),
    /// An event that cannot be processed.
    DeadLetter(DeadLetter),
}

/// An event that cannot be processed, stored for an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its identity.
    pub event: EventId,
    /// Its position.
    pub replay_id: Option<ReplayId>,
    /// Why, with its bytes.
    pub undecodable: Undecodable,
}

/// A part of the stream that was, or may have been, lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Events before this time were received. The gap ends when it is recorded, by the store's
    /// clock.
    pub from: Option<Timestamp>,
    /// What happened and what was done about it.
    pub detail: String,
}

/// Minimum age for pruning: the bus may redeliver events of the last three days.
pub const MIN_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// Minimum age for pruning entries of the audit log.
pub const AUDIT_RETENTION: Duration = Duration::from_secs(400 * 24 * 3600);

/// Counts of pruned rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Finished jobs.
    pub jobs: u64,
    /// Remembered event ids.
    pub events: u64,
    /// Facts of orders for which WHMCS was never called with an effect.
    pub facts: u64,
    /// Closed dead letters.
    pub dead_letters: u64,
    /// Gaps, except the newest of each channel.
    pub gaps: u64,
    /// Entries of the audit log.
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

/// The subscriber's view of the store. Every stored time comes from the store's own clock.
#[async_trait]
pub trait JobIntake: Send + Sync {
    /// Acquires or renews leadership of the channel for `ttl` by the store's clock. A new term
    /// begins whenever the leader changes or its lease had expired.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: whether we lead is unknown; assume not.
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError>;

    /// Gives up leadership at once, so that a standby need not wait. A no-op when we do not lead.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: the lease expires by itself.
    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError>;

    /// The stored cursor, or `None` while there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn cursor(&self, channel: &Channel) -> Result<Option<Cursor>, StoreError>;

    /// In ONE commit: enqueues a job for every new request (see [`crate::job::admit`]), stores the
    /// dead letters and event ids, and moves the cursor. Atomic and idempotent.
    ///
    /// Returns the result of each entry, in order.
    ///
    /// # Errors
    /// [`StoreError::NotLeader`] when the term is over; [`StoreError::Unstorable`] for an entry
    /// that the store cannot hold, with nothing of the delivery written;
    /// [`StoreError::Unavailable`].
    async fn accept(&self, delivery: &Delivery) -> Result<Vec<Admission>, StoreError>;

    /// Records that the bus no longer has the stored cursor. The cursor stays until a delivery or
    /// an operator replaces it: after a crash the next leader finds it lost again instead of
    /// finding none. There is one gap per lost cursor: repeating this, even in another term,
    /// changes nothing.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> Result<(), StoreError>;

    /// Enqueues jobs that did not come from the stream: same rules, one commit, no cursor.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Admission>, StoreError>;

    /// Open dead letters of the channel with a requested redrive, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn requested_redrives(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError>;

    /// Records the result of a redrive, in ONE commit under the leader's term: enqueues the job by
    /// the ordinary rules and closes the dead letter, or keeps it open with the new reason; either
    /// way the request is done. Idempotent; a dead letter without a requested redrive is left
    /// unchanged and yields [`Admission::SameDelivery`].
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

    /// Carries out an operator's command, in ONE commit with its entry in the audit log. Pausing an
    /// intake and setting or resetting a cursor end the leader's term, so that nothing of the old
    /// term can be written afterwards. Repeating a command changes nothing but adds an entry to the
    /// audit log, or returns [`CommandResult::NotFound`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: whether it was carried out is unknown; check before repeating
    /// it.
    async fn act(
        &self,
        act: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> Result<CommandResult, StoreError>;

    /// Deletes, in small commits, rows older than `older_than` that are no longer needed: finished
    /// jobs with their calls, event ids, the facts of orders without a job and without a binding
    /// fact ([`Fact::binds`](crate::order::Fact::binds)), closed dead letters, gaps except the
    /// newest of each channel, and entries of the audit log. The facts of every other order are
    /// kept forever: they prove that it was already provisioned. [`MIN_RETENTION`] and, for
    /// the audit log, [`AUDIT_RETENTION`] are lower bounds. May be repeated and interrupted. The
    /// default keeps everything.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: some of it may be gone.
    async fn prune(&self, older_than: Duration) -> Result<Pruned, StoreError> {
        let _ = older_than;
        Ok(Pruned::default())
    }

    /// Stores a process's heartbeat, replacing its previous one, and removes the processes without
    /// one for [`PROCESS_REMOVED_AFTER`](crate::ports::PROCESS_FORGOTTEN_AFTER). May be lost in a
    /// crash; the next heartbeat makes up for it. The default stores nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn report_process(&self, report: &ProcessReport) -> Result<(), StoreError> {
        let _ = report;
        Ok(())
    }

    /// Removes a process that is shutting down. A no-op when it is not registered.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: it is removed later, when its heartbeats are missing.
    async fn retire_process(&self, id: &Owner) -> Result<(), StoreError> {
        let _ = id;
        Ok(())
    }

    /// Saves alerts, each replacing the one of the same name, in ONE commit that compares the term
    /// of the `watch` leader (see [`lead`](Self::lead); a watch is led like a channel). May be
    /// repeated.
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
