//! Records of external calls, for an order's timeline.

use std::time::Duration;

use crate::order::Fact;
use crate::ports::CallError;
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
    /// Its display name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Salesforce => "Salesforce",
            Self::Whmcs => "WHMCS",
        }
    }
}

/// What a call did. Calls to WHMCS are named after its API action, even if answering takes several
/// requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallAction {
    /// The order was read.
    Details,
    /// The guard's view of the order was read.
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

    /// Stable name, for storage and JSON.
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

    /// The system that is called.
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

    /// Description, in plain words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Details => "read the order",
            Self::OrderGuard => "check that this attempt still owns the order",
            Self::LinkClient => "write the client's id to the account",
            Self::ReportItems => "write the service ids to the order's lines",
            Self::Report => "write the outcome to the order",
            Self::GetClient => "search for the client",
            Self::AddClient => "create a client",
            Self::GetProducts => "read the catalogue",
            Self::GetOrders => "read the client's orders",
            Self::AddOrder => "place the order",
            Self::AcceptOrder => "accept the order",
            Self::ModuleCreate => "create a service",
        }
    }
}

/// The outcome of a call: an answer, or the class of its [`CallError`].
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

    /// The outcome of this result.
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

    /// Stable name, for storage and JSON: `ok`, or [`CallError::class`].
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

    /// Description, in plain words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Ok => "answered",
            Self::NotSent => "had no effect",
            Self::Unknown => "no answer, outcome unknown",
            Self::Refused => "refused",
            Self::Denied => "access denied",
        }
    }
}

/// One external call. Holds nothing of request or response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// When it began, by the store's clock.
    pub at: Timestamp,
    /// How long it took, to the millisecond.
    pub took: Duration,
    /// What it did.
    pub action: CallAction,
    /// Its outcome.
    pub outcome: CallOutcome,
}

impl CallRecord {
    /// Number of calls kept per job, the newest. Calls are numbered from 1 within their job, so
    /// that omitted ones can be counted.
    pub const MAX_KEPT: usize = 200;

    /// The newest calls of a commit that are kept, and the number of omitted ones before them.
    #[must_use]
    pub fn newest(calls: &[Self]) -> (usize, &[Self]) {
        let skipped = calls.len().saturating_sub(Self::MAX_KEPT);
        (skipped, &calls[skipped..])
    }
}

impl CallAction {
    /// Whether this fact is the intent that is recorded before such a call.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn action_and_outcome_names_round_trip() {
        for action in CallAction::ALL {
            assert_eq!(CallAction::parse(action.name()), Some(action));
        }
        for outcome in CallOutcome::ALL {
            assert_eq!(CallOutcome::parse(outcome.name()), Some(outcome));
        }
    }

    #[test]
    fn call_outcome_names_match_error_classes() {
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
