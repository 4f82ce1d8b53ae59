//! Failure classes: named for what the caller can do, not for which library failed.

use std::error::Error;
use std::time::Duration;

use crate::failure::Refusal;

/// A cause, kept for the log. Never holds a vendor's type above its adapter.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a call to the CRM or the provisioner did not answer with what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It certainly had no effect: not sent, or turned away as busy. May be repeated.
    #[error("the call had no effect")]
    NotSent {
        /// How long the other side asks us to wait.
        retry_after: Option<Duration>,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// It may have happened. A read may be repeated; an effect must be looked for.
    #[error("the call's outcome is unknown")]
    Unknown {
        /// Why.
        #[source]
        source: BoxError,
    },
    /// A business answer: no, for this reason, and nothing happened.
    #[error("refused: {}", .0.detail)]
    Refused(Refusal),
    /// We are refused as such: credential, address, role. Not this order's fault.
    #[error("denied: {detail}")]
    Denied {
        /// What is refused and what to mend, in plain words.
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

/// Why the job store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, is busy beyond its deadline, or out of space. Whether the last
    /// write was committed is unknown; every write may be repeated.
    #[error("the job store is unavailable")]
    Unavailable(#[source] BoxError),
    /// It was given a value that it cannot hold: too long, of another type, or with characters
    /// that it does not take. Nothing was written, and a repeat fails as well.
    #[error("the job store cannot hold a value that it was given")]
    Unstorable(#[source] BoxError),
    /// The lease was lost: somebody else may own the job. Nothing was written.
    #[error("the lease was lost; another worker may own the job")]
    LeaseLost,
    /// Another process leads this channel now. Nothing was written.
    #[error("another subscriber leads this channel now")]
    NotLeader,
    /// A row cannot be read, or holds what no release of ours wrote.
    #[error("the job store holds something unreadable: {what}")]
    Corrupt {
        /// Which row and column.
        what: String,
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// Why the event stream ended. The position is never moved by an error.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The stream broke, or the service is unwell. Open it again, with backoff.
    #[error("the stream broke: {detail}")]
    Disconnected {
        /// What happened.
        detail: String,
        /// Why.
        #[source]
        source: Option<BoxError>,
    },
    /// The service asks for less. Open it again after a longer wait.
    #[error("the service asks for less: {detail}")]
    Throttled {
        /// What happened.
        detail: String,
    },
    /// The day's delivery allowance is used up; events stay on the bus meanwhile.
    #[error("the delivery allowance is used up: {detail}")]
    AllowanceUsedUp {
        /// What happened.
        detail: String,
    },
    /// The bus does not know the position any more.
    #[error("the bus does not know the stored position any more: {detail}")]
    CursorLost {
        /// What happened.
        detail: String,
    },
    /// There is no token: the login was refused. Whoever logs in keeps the pace of its own
    /// attempts, so asking again is cheap, and the only way to hear that it was mended.
    #[error("{detail}")]
    LoggedOut {
        /// What is refused and what to mend, in plain words.
        detail: String,
    },
    /// A right or setting must be mended by a person first.
    #[error("{detail}")]
    Denied {
        /// What is refused and what to mend, in plain words.
        detail: String,
    },
}

impl StreamError {
    /// The names of every class.
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
