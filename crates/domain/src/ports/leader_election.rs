//! Leadership of channels and watches.

use std::time::Duration;

use async_trait::async_trait;

use crate::key::{Channel, Owner};
use crate::ports::StoreError;
use crate::time::Timestamp;

/// The term of leadership that a write belongs to. Later terms are higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(i64);

impl Epoch {
    /// The term with this number, as a store numbered it.
    #[must_use]
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i64 {
        self.0
    }
}

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

/// Elects one process per channel. The alert rules are led like a channel.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait LeaderElection: Send + Sync {
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
}
