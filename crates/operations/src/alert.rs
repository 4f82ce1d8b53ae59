//! Alert states.

use async_trait::async_trait;
use domain::key::Channel;
use domain::ports::{Epoch, StoreError};
use domain::time::Timestamp;

/// What was notified of an alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notified {
    /// Nothing yet.
    #[default]
    Nothing,
    /// That it fires.
    Firing,
    /// That it is resolved.
    Resolved,
}

impl Notified {
    /// Stable name, for storage.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }

    /// The value of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Nothing, Self::Firing, Self::Resolved]
            .into_iter()
            .find(|notified| notified.name() == name)
    }
}

/// The state of an alert: the current episode of its rule, or the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// The rule's name.
    pub name: String,
    /// `page` or `ticket`.
    pub severity: String,
    /// One sentence.
    pub summary: String,
    /// What was observed, with numbers.
    pub description: String,
    /// Since when its condition has held without interruption; `None` while it does not.
    pub pending_since: Option<Timestamp>,
    /// When it began to fire; `None` while it is pending.
    pub firing_since: Option<Timestamp>,
    /// When it was resolved.
    pub resolved_at: Option<Timestamp>,
    /// What was notified of this episode.
    pub notified: Notified,
}

impl Alert {
    /// Whether it fires.
    #[must_use]
    pub fn is_firing(&self) -> bool {
        self.firing_since.is_some() && self.resolved_at.is_none()
    }

    /// The next notification to send.
    #[must_use]
    pub fn pending_notification(&self) -> Option<Notified> {
        match (self.firing_since, self.resolved_at, self.notified) {
            (None, _, _) => None,
            (Some(_), _, Notified::Nothing) => Some(Notified::Firing),
            (Some(_), Some(_), Notified::Firing) => Some(Notified::Resolved),
            _ => None,
        }
    }
}

/// The states of alerts.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AlertStore: Send + Sync {
    /// Saves alerts, each replacing the one of the same name, in ONE commit that compares the term
    /// of the `watch` leader (see [`LeaderElection::lead`](domain::ports::LeaderElection::lead); a watch is led like a channel). May be
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
    ) -> Result<(), StoreError>;

    /// Every stored alert, by name.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn alerts(&self) -> Result<Vec<Alert>, StoreError>;
}
