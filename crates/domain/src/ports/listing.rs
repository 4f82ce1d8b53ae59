//! Lists of what the store holds, as people ask for them.

use crate::failure::Code;
use crate::id::{AccountId, OrderId};
use crate::job::JobOutcome;
use crate::key::{Channel, JobId, WhmcsOrderId};
use crate::ports::DeadLetter;
use crate::time::Timestamp;

/// Where a job stands, as people see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStage {
    /// Waits for a worker.
    Queued,
    /// In a worker's hands.
    Leased,
    /// Over.
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

    /// Stable name for storage, metric labels and addresses.
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

/// Which orders to list. What is `None` does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderQuery {
    /// Orders whose last job stands there.
    pub stage: Option<JobStage>,
    /// Orders whose last attempt was refused for this.
    pub code: Option<Code>,
    /// Orders known by exactly this: Salesforce order id (15 or 18 characters) or number,
    /// WHMCS order id, or Account id.
    pub text: Option<String>,
    /// Orders that come after this one in the list: its last activity and its id.
    pub after: Option<(Timestamp, OrderId)>,
    /// At most so many.
    pub limit: usize,
}

impl OrderQuery {
    /// What the free text may stand for. `None`: no text was given.
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

/// What a text may stand for; an order of which any is true is meant.
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
    /// Who buys, once an attempt has read it.
    pub account: Option<AccountId>,
    /// The order in WHMCS, once it is placed.
    pub whmcs_order: Option<WhmcsOrderId>,
    /// Where its last job stands.
    pub stage: JobStage,
    /// What the last attempt was refused for.
    pub code: Option<Code>,
    /// Attempts that were begun.
    pub attempts: u32,
    /// When something last happened to it: it was asked for, checked, placed, refused,
    /// forgotten, or a job of it ended.
    pub updated_at: Timestamp,
    /// Who has seen to it since it was last asked for.
    pub handled: Option<Acknowledgement>,
}

/// That somebody has seen to an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Who.
    pub who: String,
    /// Why it needs no more attention.
    pub why: String,
    /// When.
    pub at: Timestamp,
}

/// A dead letter as it lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterView {
    /// Its number in this store.
    pub number: i64,
    /// The channel it came from.
    pub channel: Channel,
    /// The letter.
    pub letter: DeadLetter,
    /// When it came.
    pub received_at: Timestamp,
    /// When somebody dealt with it.
    pub closed_at: Option<Timestamp>,
    /// Since when it waits to be read again.
    pub asked_at: Option<Timestamp>,
}

/// A stretch of a stream that was lost, or may have been.
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

/// How a job ended, for rates and latencies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedJob {
    /// The job.
    pub job: JobId,
    /// Its order.
    pub order: OrderId,
    /// How it ended.
    pub outcome: JobOutcome,
    /// What it was refused for.
    pub code: Option<Code>,
    /// When Salesforce asked.
    pub requested_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_for_everything_it_may_be() {
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
