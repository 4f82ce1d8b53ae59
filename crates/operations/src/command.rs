//! Operator commands and the audit log.

use std::fmt;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::key::{Channel, DeadLetterId, ReplayId, WhmcsOrderId};
use domain::order::RetryAnswer;
use domain::ports::StoreError;
use domain::time::Timestamp;

/// What an operator can pause.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pausable {
    /// The intake of a channel: no subscriber leads it, and events stay on the bus.
    Intake(Channel),
    /// The workers' claims: no job is claimed. Jobs in progress continue.
    Worker,
}

impl Pausable {
    /// Parses the stored and displayed form: `worker`, or `intake` and the channel.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(' ') {
            Some(("intake", channel)) => Channel::new(channel).map(Self::Intake),
            None if text == "worker" => Some(Self::Worker),
            _ => None,
        }
    }
}

impl fmt::Display for Pausable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intake(channel) => write!(f, "intake {channel}"),
            Self::Worker => f.write_str("worker"),
        }
    }
}

/// A command of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// Close a dead letter.
    Dismiss {
        /// Its number ([`DeadLetterView::number`](domain::ports::DeadLetterView)).
        dead_letter: DeadLetterId,
    },
    /// Redrive a dead letter: the leader of its channel decodes it again and enqueues its job.
    Redrive {
        /// Its number.
        dead_letter: DeadLetterId,
    },
    /// Set the cursor of a channel. The leader loses its term, so that it cannot overwrite the
    /// cursor.
    SetCursor {
        /// The channel.
        channel: Channel,
        /// The position.
        replay_id: ReplayId,
    },
    /// Delete the cursor of a channel: the stream starts as on the first start.
    ResetCursor {
        /// The channel.
        channel: Channel,
    },
    /// Forget a WHMCS order that staff ended, so that a new one may be placed.
    Forget {
        /// The order.
        order: OrderId,
        /// The WHMCS order to forget.
        whmcs_order: WhmcsOrderId,
    },
    /// Intent to mark a WHMCS order that another bridge placed as the one of this order, written
    /// before the calls. Repeating them changes nothing.
    Adopt {
        /// The order.
        order: OrderId,
        /// Its WHMCS order.
        whmcs_order: WhmcsOrderId,
    },
    /// Acknowledge an order: it needs no attention until it is requested again.
    Handle {
        /// The order.
        order: OrderId,
    },
    /// Intent to request another attempt for this order in Salesforce, written before the call.
    /// Without an [`RetryRequested`](Self::RetryRequested) after it, the outcome of the call is unknown.
    RequestRetry {
        /// The order.
        order: OrderId,
    },
    /// The result of that call. A retried order needs no attention until the attempt starts. An
    /// order that changed since the intent is left as it is.
    RetryRequested {
        /// The order.
        order: OrderId,
        /// The answer of Salesforce; `None` for an error or a refusal.
        answer: Option<RetryAnswer>,
    },
    /// Pause intake or workers.
    Pause {
        /// What.
        what: Pausable,
    },
    /// Resume intake or workers.
    Resume {
        /// What.
        what: Pausable,
    },
    /// Note that the operator logged in to the console.
    LogIn {
        /// The address it came from.
        peer: String,
    },
    /// Note that the operator logged out.
    LogOut {
        /// The address it came from.
        peer: String,
    },
    /// Note that somebody gave a wrong token.
    LoginFailed {
        /// The address it came from.
        peer: String,
    },
}

impl AdminCommand {
    /// Stable name, for storage.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Dismiss { .. } => "dismiss",
            Self::Redrive { .. } => "redrive",
            Self::SetCursor { .. } => "set_cursor",
            Self::ResetCursor { .. } => "reset_cursor",
            Self::Forget { .. } => "forget",
            Self::Adopt { .. } => "adopt",
            Self::Handle { .. } => "handle",
            Self::RequestRetry { .. } => "ask_again",
            Self::RetryRequested { .. } => "asked_again",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
            Self::LogIn { .. } => "login",
            Self::LogOut { .. } => "logout",
            Self::LoginFailed { .. } => "login_failed",
        }
    }

    /// The subject, for the audit log.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Dismiss { dead_letter } | Self::Redrive { dead_letter } => {
                format!("dead letter {dead_letter}")
            }
            Self::SetCursor { channel, replay_id } => {
                format!("{channel} to {}", replay_id.to_hex())
            }
            Self::ResetCursor { channel } => channel.to_string(),
            Self::Forget { order, whmcs_order } | Self::Adopt { order, whmcs_order } => {
                format!("{order}, WHMCS order {whmcs_order}")
            }
            Self::Handle { order } | Self::RequestRetry { order } => order.to_string(),
            Self::RetryRequested { order, answer } => {
                let result = match answer {
                    Some(RetryAnswer::Asked) => "asked",
                    Some(RetryAnswer::NotFailed) => "it has not failed any more",
                    None => "Salesforce did not do it",
                };
                format!("{order}: {result}")
            }
            Self::Pause { what } | Self::Resume { what } => what.to_string(),
            Self::LogIn { peer } | Self::LogOut { peer } | Self::LoginFailed { peer } => {
                format!("from {peer}")
            }
        }
    }
}

/// The result of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandResult {
    /// It was carried out and recorded in the audit log.
    Done,
    /// No such open dead letter, channel, order or pause. Nothing was written.
    NotFound,
    /// A worker is running a job of the order. Nothing was written; try again afterwards.
    Running,
}

/// An active pause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What.
    pub what: Pausable,
    /// By whom.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when, by the store's clock.
    pub since: Timestamp,
}

/// An entry of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// When, by the store's clock.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// What ([`AdminCommand::name`]).
    pub act: String,
    /// To what ([`AdminCommand::subject`]).
    pub subject: String,
    /// Why.
    pub reason: String,
}

/// Executes commands of operators.
#[cfg_attr(feature = "mocks", mockall::automock)]
#[async_trait]
pub trait AdminCommands: Send + Sync {
    /// Carries out an operator's command, in ONE commit with its entry in the audit log. Pausing an
    /// intake and setting or resetting a cursor end the leader's term, so that nothing of the old
    /// term can be written afterwards. Repeating a command changes nothing but adds an entry to the
    /// audit log, or returns [`CommandResult::NotFound`].
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: whether it was carried out is unknown; check before repeating
    /// it.
    async fn execute(
        &self,
        command: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> Result<CommandResult, StoreError>;

    /// The active pauses.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn pauses(&self) -> Result<Vec<Pause>, StoreError>;

    /// The audit log, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn audit(&self, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pausable_round_trips() {
        let channel = Channel::new("/event/X__e").unwrap();
        for what in [Pausable::Worker, Pausable::Intake(channel)] {
            assert_eq!(Pausable::parse(&what.to_string()), Some(what));
        }
        assert_eq!(Pausable::parse("intake"), None);
        assert_eq!(Pausable::parse("worker x"), None);
    }
}
