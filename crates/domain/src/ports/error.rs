//! Error classes, named for what the caller can do, not for which library failed.

use std::error::Error;
use std::time::Duration;

use crate::failure::Refusal;

/// A cause, for the log. Above the adapters it is never downcast to a vendor's type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// An error of a call to the CRM or the provisioner.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It certainly had no effect: not sent, or rejected as busy. May be repeated.
    #[error("the call had no effect")]
    NotSent {
        /// The delay that the other side asked for.
        retry_after: Option<Duration>,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// It may have taken effect. A read may be repeated; an effect must be reconciled.
    #[error("the call's outcome is unknown")]
    Unknown {
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A business refusal: nothing happened, for this reason.
    #[error("refused: {}", .0.detail)]
    Refused(Refusal),
    /// We are denied access: credential, address or role. Not the fault of this order.
    #[error("denied: {detail}")]
    Denied {
        /// What is denied and how to fix it, in plain words.
        detail: String,
        /// Why.
        #[source]
        source: BoxError,
    },
}

impl CallError {
    /// Stable name of the class, for logs and metric labels.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::NotSent { .. } => "not_sent",
            Self::Unknown { .. } => "unknown",
            Self::Refused(_) => "refused",
            Self::Denied { .. } => "denied",
        }
    }
}

/// An error of the job store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be reached, is busy beyond the deadline, or is out of space. Whether the last
    /// write was committed is unknown; every write may be repeated.
    #[error("the job store is unavailable")]
    Unavailable(#[source] BoxError),
    /// A value cannot be stored: too long, of a wrong type, or with characters that are not
    /// allowed. Nothing was written, and a repeat fails as well.
    #[error("the job store cannot store a value")]
    Unstorable(#[source] BoxError),
    /// The lease was lost: another worker may own the job. Nothing was written.
    #[error("the lease was lost; another worker may own the job")]
    LeaseLost,
    /// Another process leads this channel now. Nothing was written.
    #[error("another subscriber leads this channel now")]
    NotLeader,
    /// A row is unreadable, or holds a value that no release of ours wrote.
    #[error("the job store has an unreadable row: {what}")]
    Corrupt {
        /// The row and column.
        what: String,
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// Why the event stream ended. An error never moves the cursor.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The stream broke, or the service is unavailable. Open it again, with backoff.
    #[error("the stream broke: {detail}")]
    Disconnected {
        /// What happened.
        detail: String,
        /// Why.
        #[source]
        source: Option<BoxError>,
    },
    /// The service throttles us. Open the stream again after a longer wait.
    #[error("the service throttles us: {detail}")]
    Throttled {
        /// What happened.
        detail: String,
    },
    /// The daily delivery allowance is used up; events stay on the bus meanwhile.
    #[error("the delivery allowance is used up: {detail}")]
    AllowanceUsedUp {
        /// What happened.
        detail: String,
    },
    /// The bus no longer has the cursor.
    #[error("the bus no longer has the stored cursor: {detail}")]
    CursorLost {
        /// What happened.
        detail: String,
    },
    /// There is no token: the login was refused. The login limits the rate of its own attempts, so
    /// opening again is cheap, and the only way to notice that it was fixed.
    #[error("{detail}")]
    LoggedOut {
        /// What is denied and how to fix it, in plain words.
        detail: String,
    },
    /// An operator must fix a permission or setting first.
    #[error("{detail}")]
    Denied {
        /// What is denied and how to fix it, in plain words.
        detail: String,
    },
}

impl StreamError {
    /// The name of every class.
    pub const CLASSES: [&str; 6] = [
        "disconnected",
        "throttled",
        "allowance",
        "position_lost",
        "logged_out",
        "denied",
    ];

    /// Stable name of the class, for logs and metric labels.
    #[must_use]
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Disconnected { .. } => "disconnected",
            Self::Throttled { .. } => "throttled",
            Self::AllowanceUsedUp { .. } => "allowance",
            Self::CursorLost { .. } => "position_lost",
            Self::LoggedOut { .. } => "logged_out",
            Self::Denied { .. } => "denied",
        }
    }
}
