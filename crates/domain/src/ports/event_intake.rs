//! The store, for intake.

use async_trait::async_trait;

use crate::job::{Admission, NewJob};
use crate::key::{Channel, DeadLetterId, EventId, ReplayId};
use crate::ports::{Epoch, StoreError, Undecodable};
use crate::time::Timestamp;

/// A stored cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The position after which the next stream starts.
    pub replay_id: ReplayId,
    /// When it was committed, by the store's clock.
    pub committed_at: Timestamp,
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

/// The state of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterView {
    /// Its number in this store.
    pub number: DeadLetterId,
    /// The channel it came from.
    pub channel: Channel,
    /// The dead letter.
    pub dead_letter: DeadLetter,
    /// When it was received.
    pub received_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// When a redrive was requested.
    pub asked_at: Option<Timestamp>,
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

/// Enqueues jobs, stores dead letters and moves the cursor. Every stored time comes from the store's
/// own clock.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait EventIntake: Send + Sync {
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
        dead_letter: DeadLetterId,
        read: &Result<NewJob, Undecodable>,
    ) -> Result<Admission, StoreError>;
}
