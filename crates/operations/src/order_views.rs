//! Orders and jobs, for consoles, customers and the command line.

use std::fmt;

use async_trait::async_trait;
use domain::failure::Code;
use domain::id::{AccountId, OrderId};
use domain::job::{JobOutcome, NewJob};
use domain::key::{JobId, WhmcsOrderId};
use domain::order::{Fact, MarkerProof, OrderState, next};
use domain::ports::StoreError;
use domain::time::Timestamp;

use crate::RecordedCall;

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

    /// The outcome of a finished job.
    #[must_use]
    pub const fn outcome(self) -> Option<JobOutcome> {
        match self {
            Self::Queued | Self::Leased => None,
            Self::Ended(outcome) => Some(outcome),
        }
    }

    /// The stage of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }
}

impl fmt::Display for JobStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
            // As stores keep it: not all can hold a NUL.
            number: text.replace('\0', "\u{fffd}"),
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

/// The current state of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobView {
    /// The job.
    pub job: NewJob,
    /// Its stage.
    pub stage: JobStage,
    /// When it was enqueued.
    pub enqueued_at: Timestamp,
    /// While it is queued: when it may be claimed.
    pub due_at: Option<Timestamp>,
    /// When it was first claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// What an order waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// What happens next, in a few words: `next search`, `next read-back`, `next try`.
    pub what: &'static str,
    /// When, by the store's clock.
    pub until: Timestamp,
}

impl Wait {
    /// The wait of an order of which a started job was released. Takes its jobs and its facts,
    /// oldest first.
    #[must_use]
    pub fn of(jobs: &[JobView], facts: &[RecordedFact]) -> Option<Self> {
        let waiting = jobs
            .iter()
            .find(|view| view.stage == JobStage::Queued && view.started_at.is_some())?;
        let state = OrderState::replay(facts.iter().map(|recorded| &recorded.fact)).ok()?;
        Some(Self {
            what: next(&state, &waiting.job.id).wait_description(),
            until: waiting.due_at?,
        })
    }
}

/// A fact with its place in the order's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedFact {
    /// When it was recorded.
    pub at: Timestamp,
    /// By which job.
    pub job: JobId,
    /// The fact.
    pub fact: Fact,
}

/// Lists and histories of orders and jobs. Unreadable rows are logged and omitted.
#[async_trait]
pub trait OrderViews: Send + Sync {
    /// Orders, latest activity first. An order that changes between two pages may appear on both.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn orders(&self, query: &OrderQuery) -> Result<Vec<OrderRow>, StoreError>;

    /// The newest evidence that WHMCS keeps markers, as a claim returns it
    /// ([`Claimed::marker_proof`](domain::ports::Claimed::marker_proof)).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn marker_proof(&self) -> Result<Option<MarkerProof>, StoreError>;

    /// A job.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn job(&self, job: &JobId) -> Result<Option<JobView>, StoreError>;

    /// Jobs, newest first, starting after `after`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn jobs(
        &self,
        stage: Option<JobStage>,
        after: Option<&JobId>,
        limit: usize,
    ) -> Result<Vec<JobView>, StoreError>;

    /// The order's jobs, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn jobs_of(&self, order: OrderId) -> Result<Vec<JobView>, StoreError>;

    /// The order's facts, oldest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn facts_of(&self, order: OrderId) -> Result<Vec<RecordedFact>, StoreError>;

    /// The calls of the order's jobs, in sequence within each job: up to
    /// [`CallRecord::MAX_KEPT`](domain::ports::CallRecord::MAX_KEPT) per job, and none of pruned jobs.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn calls_of(&self, order: OrderId) -> Result<Vec<RecordedCall>, StoreError>;
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
