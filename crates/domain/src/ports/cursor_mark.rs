//! The history of a channel's cursor.

use std::time::Duration;

use crate::key::ReplayId;
use crate::time::Timestamp;

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
