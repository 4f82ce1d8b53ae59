//! What people may do to the store.

use std::fmt;

use crate::id::OrderId;
use crate::key::{Channel, ReplayId, WhmcsOrderId};
use crate::order::RetryAnswer;
use crate::time::Timestamp;

/// What can be held back by a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pausable {
    /// The intake of a channel: nobody leads it. Events stay on the bus meanwhile.
    Intake(Channel),
    /// The workers' claims: nobody takes a job. Jobs in hand go on.
    Worker,
}

impl Pausable {
    /// The form at rest and for people: `worker`, or `intake` and the channel.
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

/// What a person does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminCommand {
    /// A dead letter needs nobody any more.
    Dismiss {
        /// Its number ([`DeadLetterView::number`](crate::ports::DeadLetterView)).
        letter: i64,
    },
    /// Whoever leads the letter's channel is to read it again and make the job it asks for.
    Redrive {
        /// Its number.
        letter: i64,
    },
    /// The stream of a channel goes on behind this position. Whoever leads loses its term, so
    /// that it cannot move the cursor back.
    SetCursor {
        /// The channel.
        channel: Channel,
        /// The position.
        replay_id: ReplayId,
    },
    /// The stream of a channel starts as on the first day.
    ResetCursor {
        /// The channel.
        channel: Channel,
    },
    /// A WHMCS order that staff ended stands in the way no more.
    Forget {
        /// The order.
        order: OrderId,
        /// The WHMCS order to forget.
        whmcs_order: WhmcsOrderId,
    },
    /// Somebody has seen to this order; it needs no attention until it is asked for again.
    Handle {
        /// The order.
        order: OrderId,
    },
    /// Salesforce is about to be asked for another attempt at this order: the intent, written
    /// before the call. Without an [`RetryRequested`](Self::AskedAgain) behind it nobody knows
    /// whether Salesforce was asked.
    RequestRetry {
        /// The order.
        order: OrderId,
    },
    /// What came of it. An order that was asked for again needs no attention until the attempt
    /// begins; one to which something happened since the intent stays as it is.
    RetryRequested {
        /// The order.
        order: OrderId,
        /// What Salesforce answered; `None`: nothing, or a refusal.
        answer: Option<RetryAnswer>,
    },
    /// Hold back.
    Pause {
        /// What.
        what: Pausable,
    },
    /// Let go on.
    Resume {
        /// What.
        what: Pausable,
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
            Self::Handle { .. } => "handle",
            Self::RequestRetry { .. } => "ask_again",
            Self::RetryRequested { .. } => "asked_again",
            Self::Pause { .. } => "pause",
            Self::Resume { .. } => "resume",
        }
    }

    /// What it is done to, for the audit log.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::Dismiss { letter } | Self::Redrive { letter } => format!("dead letter {letter}"),
            Self::SetCursor { channel, replay_id } => {
                format!("{channel} to {}", replay_id.to_hex())
            }
            Self::ResetCursor { channel } => channel.to_string(),
            Self::Forget { order, whmcs_order } => format!("{order}, WHMCS order {whmcs_order}"),
            Self::Handle { order } | Self::RequestRetry { order } => order.to_string(),
            Self::RetryRequested { order, answer } => {
                let came = match answer {
                    Some(RetryAnswer::Asked) => "asked",
                    Some(RetryAnswer::NotFailed) => "it has not failed any more",
                    None => "Salesforce did not do it",
                };
                format!("{order}: {came}")
            }
            Self::Pause { what } | Self::Resume { what } => what.to_string(),
        }
    }
}

/// What became of an act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandResult {
    /// It is done and in the audit log.
    Done,
    /// There is no such dead letter open, channel, order or pause. Nothing was written.
    NotFound,
    /// A worker has a job of the order in hand. Nothing was written; try again afterwards.
    Running,
}

/// Something that is held back.
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

/// A line of the audit log.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_paused_reads_back_as_it_was_written() {
        let channel = Channel::new("/event/X__e").unwrap();
        for what in [Pausable::Worker, Pausable::Intake(channel)] {
            assert_eq!(Pausable::parse(&what.to_string()), Some(what));
        }
        assert_eq!(Pausable::parse("intake"), None);
        assert_eq!(Pausable::parse("worker x"), None);
    }
}
