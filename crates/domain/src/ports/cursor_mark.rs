//! Where a channel's position was, and who moved it or led.

use std::time::Duration;

use crate::key::ReplayId;
use crate::time::Timestamp;

/// Why a position is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CursorChange {
    /// Now and then, as it moves.
    Sampled,
    /// Somebody began to lead.
    Term,
    /// A person set it.
    Set,
    /// A person forgot it.
    Reset,
    /// The bus does not know it any more.
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

    /// Stable name, for storage and for programs.
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

/// A channel's position at some time. Written in the commit of what it tells of; nothing is
/// decided by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorHistoryEntry {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// Why it is remembered.
    pub kind: CursorChange,
    /// The position then; `None` while there was none.
    pub replay_id: Option<ReplayId>,
    /// Who, and what happened.
    pub detail: String,
}

impl CursorHistoryEntry {
    /// A position that moves is sampled at most so often.
    pub const EVERY: Duration = Duration::from_secs(600);
    /// The newest so many of a channel are kept.
    pub const MAX_KEPT: usize = 1000;
}
