//! Lists of the store's content, for consoles and the command line.

use crate::failure::Code;
use crate::id::{AccountId, OrderId};
use crate::job::JobOutcome;
use crate::key::{Channel, JobId, WhmcsOrderId};
use crate::ports::DeadLetter;
use crate::time::Timestamp;

/// The stage of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStage {
    /// Waiting for a worker.
    Queued,
    /// Leased by a worker.
    Leased,
    /// Finished.
    Ended(JobOutcome),
}

impl JobStage {
    /// Every stage.
    pub const ALL: [Self; 6] = [
        Self::Queued,
        Self::Leased,
        Self::Ended(JobOutcome::Succeeded),
        Self::Ended(JobOutcome::Failed),
        Self::Ended(JobOutcome::Skipped),
        Self::Ended(JobOutcome::Superseded),
    ];

    /// Stable name for storage, metric labels and URLs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Ended(outcome) => outcome.name(),
        }
    }

    /// The stage of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

/// A filter of the order list. `None` matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderQuery {
    /// Orders whose last job is in this stage.
    pub stage: Option<JobStage>,
    /// Orders whose last attempt failed with this code.
    pub code: Option<Code>,
    /// Orders with exactly this Salesforce order id (15 or 18 characters), order number, WHMCS
    /// order id or Account id.
    pub text: Option<String>,
    /// The position in the list to start after: an order's last activity and id.
    pub after: Option<(Timestamp, OrderId)>,
    /// Maximum number of orders.
    pub limit: usize,
}

impl OrderQuery {
    /// The possible meanings of the free text; `None` without text.
    #[must_use]
    pub fn names(&self) -> Option<OrderNames> {
        let text = self.text.as_deref()?.trim();
        Some(OrderNames {
            order: OrderId::parse(text).ok(),
            account: AccountId::parse(text).ok(),
            whmcs_order: text.parse().ok().map(WhmcsOrderId),
            number: text.to_owned(),
        })
    }
}

/// The possible meanings of a search text; an order matches if any of them does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderNames {
    /// The Salesforce order.
    pub order: Option<OrderId>,
    /// The account.
    pub account: Option<AccountId>,
    /// The order in WHMCS.
    pub whmcs_order: Option<WhmcsOrderId>,
    /// `OrderNumber`.
    pub number: String,
}

/// An order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderRow {
    /// The order.
    pub order: OrderId,
    /// `OrderNumber`, once an attempt has read it.
    pub number: Option<String>,
    /// The account, once an attempt has read it.
    pub account: Option<AccountId>,
    /// The order in WHMCS, once it is placed.
    pub whmcs_order: Option<WhmcsOrderId>,
    /// The stage of its last job.
    pub stage: JobStage,
    /// The failure code of the last attempt.
    pub code: Option<Code>,
    /// Number of started attempts.
    pub attempts: u32,
    /// Its last activity: requested, checked, placed, refused, forgotten, or a job finished.
    pub updated_at: Timestamp,
    /// The acknowledgement since it was last requested.
    pub handled: Option<Acknowledgement>,
}

/// An operator's acknowledgement of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Who.
    pub who: String,
    /// Why it needs no more attention.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// The state of a dead letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterView {
    /// Its number in this store.
    pub number: i64,
    /// The channel it came from.
    pub channel: Channel,
    /// The dead letter.
    pub letter: DeadLetter,
    /// When it was received.
    pub received_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// When a redrive was requested.
    pub asked_at: Option<Timestamp>,
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

/// A finished job, for rates and latencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedJob {
    /// The job.
    pub job: JobId,
    /// Its order.
    pub order: OrderId,
    /// Its outcome.
    pub outcome: JobOutcome,
    /// Its failure code.
    pub code: Option<Code>,
    /// When it was requested, by Salesforce's clock.
    pub requested_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_text_matches_every_kind_of_name() {
        let names = |text: &str| {
            let query = OrderQuery {
                text: Some(text.to_owned()),
                ..OrderQuery::default()
            };
            query.names().unwrap()
        };
        let number = names(" 00000042 ");
        assert_eq!(number.number, "00000042");
        assert_eq!(number.whmcs_order, Some(WhmcsOrderId(42)));
        assert_eq!(number.order, None);
        assert!(names("801000000000001").order.is_some());
        assert!(names("001000000000001").account.is_some());
        assert_eq!(OrderQuery::default().names(), None);
    }
}
