//! Calls to the outside, as an order's timeline tells them.

use std::time::Duration;

use crate::key::JobId;
use crate::order::Fact;
use crate::ports::{CallError, RecordedFact};
use crate::time::Timestamp;

/// Where a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum System {
    /// The CRM.
    Salesforce,
    /// The provisioning system.
    Whmcs,
}

impl System {
    /// Its name, for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Salesforce => "Salesforce",
            Self::Whmcs => "WHMCS",
        }
    }
}

/// What was asked. Calls to WHMCS go by the name of its action, whatever else it takes to
/// answer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallAction {
    /// The order was read.
    Details,
    /// Whether the order is still ours to write to was read.
    OrderGuard,
    /// The client's id was written to the account.
    LinkClient,
    /// Service ids were written to the order's lines.
    ReportItems,
    /// The outcome was written to the order.
    Report,
    /// A client was read, by id or e-mail address.
    GetClient,
    /// A client was created.
    AddClient,
    /// The catalogue was read.
    GetProducts,
    /// Orders of a client were read.
    GetOrders,
    /// An order was placed.
    AddOrder,
    /// An order was accepted.
    AcceptOrder,
    /// The module of a service was run.
    ModuleCreate,
}

impl CallAction {
    /// Every action.
    pub const ALL: [Self; 12] = [
        Self::Details,
        Self::OrderGuard,
        Self::LinkClient,
        Self::ReportItems,
        Self::Report,
        Self::GetClient,
        Self::AddClient,
        Self::GetProducts,
        Self::GetOrders,
        Self::AddOrder,
        Self::AcceptOrder,
        Self::ModuleCreate,
    ];

    /// Stable name, for storage and for programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Details => "details",
            Self::OrderGuard => "standing",
            Self::LinkClient => "link_client",
            Self::ReportItems => "report_items",
            Self::Report => "report",
            Self::GetClient => "GetClientsDetails",
            Self::AddClient => "AddClient",
            Self::GetProducts => "GetProducts",
            Self::GetOrders => "GetOrders",
            Self::AddOrder => "AddOrder",
            Self::AcceptOrder => "AcceptOrder",
            Self::ModuleCreate => "ModuleCreate",
        }
    }

    /// The action of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.name() == name)
    }

    /// Where it is asked.
    #[must_use]
    pub const fn system(self) -> System {
        match self {
            Self::Details
            | Self::OrderGuard
            | Self::LinkClient
            | Self::ReportItems
            | Self::Report => System::Salesforce,
            Self::GetClient
            | Self::AddClient
            | Self::GetProducts
            | Self::GetOrders
            | Self::AddOrder
            | Self::AcceptOrder
            | Self::ModuleCreate => System::Whmcs,
        }
    }

    /// What it is for, in plain words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Details => "read the order",
            Self::OrderGuard => "read whether the order is still ours to write to",
            Self::LinkClient => "write the client's id to the account",
            Self::ReportItems => "write the service ids to the order's lines",
            Self::Report => "write the outcome to the order",
            Self::GetClient => "look for the client",
            Self::AddClient => "create a client",
            Self::GetProducts => "read the catalogue",
            Self::GetOrders => "read the client's orders",
            Self::AddOrder => "place the order",
            Self::AcceptOrder => "accept the order",
            Self::ModuleCreate => "set a service up",
        }
    }
}

/// How a call came out: an answer, or the class of its [`CallError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// It was answered.
    Ok,
    /// [`CallError::NotSent`].
    NotSent,
    /// [`CallError::Unknown`].
    Unknown,
    /// [`CallError::Refused`].
    Refused,
    /// [`CallError::Denied`].
    Denied,
}

impl CallOutcome {
    /// Every outcome.
    pub const ALL: [Self; 5] = [
        Self::Ok,
        Self::NotSent,
        Self::Unknown,
        Self::Refused,
        Self::Denied,
    ];

    /// How this call came out.
    #[must_use]
    pub const fn of<T>(answer: &Result<T, CallError>) -> Self {
        match answer {
            Ok(_) => Self::Ok,
            Err(CallError::NotSent { .. }) => Self::NotSent,
            Err(CallError::Unknown { .. }) => Self::Unknown,
            Err(CallError::Refused(_)) => Self::Refused,
            Err(CallError::Denied { .. }) => Self::Denied,
        }
    }

    /// Stable name, for storage and for programs: `ok`, or [`CallError::class`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotSent => "not_sent",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Denied => "denied",
        }
    }

    /// The outcome of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// In plain words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ok => "answered",
            Self::NotSent => "had no effect",
            Self::Unknown => "no answer, outcome unknown",
            Self::Refused => "refused",
            Self::Denied => "the bridge itself was refused",
        }
    }
}

/// One call to the outside. Holds nothing of what was asked or answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// When it began, by the store's clock.
    pub at: Timestamp,
    /// How long it took, to the millisecond.
    pub took: Duration,
    /// What was asked.
    pub action: CallAction,
    /// How it came out.
    pub outcome: CallOutcome,
}

impl CallRecord {
    /// The newest so many of a job are kept. Calls are numbered from 1 within their job, so
    /// that what was left out can be counted.
    pub const MAX_KEPT: usize = 200;

    /// Those of a commit's calls that can still be kept, and how many come before them.
    #[must_use]
    pub fn newest(calls: &[Self]) -> (usize, &[Self]) {
        let skipped = calls.len().saturating_sub(Self::MAX_KEPT);
        (skipped, &calls[skipped..])
    }
}

/// A call with its place in the order's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedCall {
    /// By which job.
    pub job: JobId,
    /// Its number within the job, from 1. The oldest number that is kept tells how many were
    /// left out before it.
    pub number: u64,
    /// The call.
    pub call: CallRecord,
}

impl CallAction {
    /// Whether this fact is the intent that stands in the store before such a call is made.
    #[must_use]
    pub const fn is_intended_by(self, fact: &Fact) -> bool {
        matches!(
            (fact, self),
            (Fact::CreatingClient { .. }, Self::AddClient)
                | (Fact::Placing { .. }, Self::AddOrder)
                | (Fact::Accepting { .. }, Self::AcceptOrder)
                | (Fact::Creating { .. }, Self::ModuleCreate)
        )
    }
}

/// Moves the calls of each job to where its own intents show them to have been.
///
/// A call's time counts from the claim, by the worker's clock from the moment it began; a
/// fact's is the store's at its commit. So a job's calls may all look early, by as much as lay
/// between the claim and that moment. No call with an effect is made before its intent stands
/// in the store, and the first of them tells by how much.
pub fn align_calls(facts: &[RecordedFact], calls: &mut [RecordedCall]) {
    for of_job in calls.chunk_by_mut(|one, next| one.job == next.job) {
        let early = of_job.iter().enumerate().filter_map(|(n, made)| {
            let action = made.call.action;
            let first = of_job
                .iter()
                .position(|other| other.call.action == action)?;
            let intent = facts.iter().find(|recorded| {
                recorded.job == made.job && action.is_intended_by(&recorded.fact)
            })?;
            (first == n).then(|| intent.at.since(made.call.at))
        });
        let early = early.max().unwrap_or_default();
        for made in of_job {
            made.call.at = made.call.at + early;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jobs_calls_are_told_from_when_its_first_intent_stood() {
        let job = |name: &str| JobId::new(name).unwrap();
        let made = |name: &str, number, action, at| RecordedCall {
            job: job(name),
            number,
            call: CallRecord {
                at: Timestamp::from_millis(at),
                took: Duration::from_millis(5),
                action,
                outcome: CallOutcome::Ok,
            },
        };
        let facts = [RecordedFact {
            at: Timestamp::from_millis(125),
            job: job("a"),
            fact: Fact::Accepting {
                at: Timestamp::from_millis(125),
            },
        }];
        let mut calls = [
            made("a", 1, CallAction::GetOrders, 90),
            made("a", 2, CallAction::AcceptOrder, 103),
            made("a", 3, CallAction::AcceptOrder, 300),
            made("b", 1, CallAction::AcceptOrder, 50),
        ];
        align_calls(&facts, &mut calls);
        let told = calls.each_ref().map(|made| made.call.at.as_millis());
        assert_eq!(told, [112, 125, 322, 50]);
        let again = calls.clone();
        align_calls(&facts, &mut calls);
        assert_eq!(calls, again);
    }

    #[test]
    fn every_action_and_outcome_is_known_by_its_name() {
        for action in CallAction::ALL {
            assert_eq!(CallAction::parse(action.name()), Some(action));
        }
        for outcome in CallOutcome::ALL {
            assert_eq!(CallOutcome::parse(outcome.name()), Some(outcome));
        }
    }

    #[test]
    fn an_outcome_goes_by_the_class_of_its_error() {
        let source = || "x".into();
        let errors = [
            CallError::NotSent {
                retry_after: None,
                source: source(),
            },
            CallError::Unknown { source: source() },
            CallError::Denied {
                detail: String::new(),
                source: source(),
            },
        ];
        for error in errors {
            let class = error.class();
            assert_eq!(CallOutcome::of::<()>(&Err(error)).name(), class);
        }
    }
}
