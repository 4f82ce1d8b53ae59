//! Channels, their cursors, dead letters and gaps, for operators.

use std::time::Duration;

use async_trait::async_trait;
use domain::key::{Channel, DeadLetterId, Owner, ReplayId};
use domain::ports::{Cursor, DeadLetterView, Epoch, StoreError};
use domain::time::Timestamp;

/// The state of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamView {
    /// The stored cursor.
    pub cursor: Option<Cursor>,
    /// Who leads, in which term, and until when.
    pub leader: Option<(Owner, Epoch, Timestamp)>,
    /// When Salesforce created the newest accepted event.
    pub last_event_at: Option<Timestamp>,
}

/// A part of a stream that was, or may have been, lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapView {
    /// The channel.
    pub channel: Channel,
    /// Events before this time were received.
    pub from: Option<Timestamp>,
    /// When it was recorded.
    pub until: Timestamp,
    /// What happened and what was done about it.
    pub detail: String,
}

/// Why an entry of the cursor history was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CursorChange {
    /// Sampled periodically as it moves.
    Sampled,
    /// A new term of leadership began.
    Term,
    /// An operator set it.
    Set,
    /// An operator reset it.
    Reset,
    /// The bus no longer has it.
    Lost,
}

impl CursorChange {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Sampled,
        Self::Term,
        Self::Set,
        Self::Reset,
        Self::Lost,
    ];

    /// Stable name, for storage and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sampled => "sampled",
            Self::Term => "term",
            Self::Set => "set",
            Self::Reset => "reset",
            Self::Lost => "lost",
        }
    }

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// An entry of the cursor history. Written in the commit of the change it records; informational
/// only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorHistoryEntry {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// Why it was written.
    pub kind: CursorChange,
    /// The cursor then; `None` while there was none.
    pub replay_id: Option<ReplayId>,
    /// Who, and what happened.
    pub detail: String,
}

impl CursorHistoryEntry {
    /// Minimum interval between samples.
    pub const EVERY: Duration = Duration::from_secs(600);
    /// Number of entries kept per channel, the newest.
    pub const MAX_KEPT: usize = 1000;
}

/// What the store knows of a channel and its events.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait EventViews: Send + Sync {
    /// The state of a channel.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn stream(&self, channel: &Channel) -> Result<StreamView, StoreError>;

    /// The history of the channel's cursor, newest first: sampled as it moves, and whenever the
    /// leader changed, an operator changed it, or it was lost.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn cursor_history(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<CursorHistoryEntry>, StoreError>;

    /// Dead letters, newest first, starting after the number `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn dead_letters(
        &self,
        open_only: bool,
        after: Option<DeadLetterId>,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError>;

    /// Gaps, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn gaps(&self, limit: usize) -> Result<Vec<GapView>, StoreError>;

    /// Open dead letters.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn open_dead_letters(&self) -> Result<u64, StoreError>;
}
