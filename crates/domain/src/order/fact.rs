//! Facts: what is recorded of an order after each step.

use std::fmt;

use crate::failure::Refusal;
use crate::id::AccountId;
use crate::key::{ClientId, IdemKey, JobId, ServiceId, WhmcsOrderId};
use crate::order::PlacedLine;
use crate::time::Timestamp;

/// What a read-back showed about the marker in an order's notes.
///
/// WHMCS does not document that it keeps the notes of AddOrder, and an upgrade or a hook can change
/// that at any time, so the newest evidence decides whether a search can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerCheck {
    /// AddOrder returned the order, and its notes contained the marker afterwards.
    Kept,
    /// The order is ours, and its notes did not contain the marker.
    Dropped,
    /// The marker may not have been written by AddOrder: no evidence.
    Unchecked,
}

/// One recorded fact about an order. Facts are append-only.
///
/// A fact named in the present participle (`Placing`, `Accepting`, …) is an *intent*: it is
/// committed before its call, so that a lost reply means "unknown" and never "failed".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An attempt began: the order was `Activating`.
    Checked {
        /// The attempt's job.
        job: JobId,
        /// `Activation_IdemKey__c` at that time.
        idem_key: Option<IdemKey>,
        /// `OrderNumber`, for display.
        number: Option<String>,
        /// The account, for display. Also `None` when an older release recorded the fact.
        account: Option<AccountId>,
    },
    /// Intent: a WHMCS client is about to be created.
    CreatingClient {
        /// When.
        at: Timestamp,
    },
    /// The client was certainly not created.
    ClientNotCreated,
    /// The client creation may have happened.
    ClientUnknown {
        /// When the missing reply was noticed.
        at: Timestamp,
    },
    /// The client to order for is resolved and open.
    Client {
        /// The client.
        client: ClientId,
    },
    /// Intent: AddOrder is about to be called.
    Placing {
        /// When.
        at: Timestamp,
        /// The client's highest order id before the call, zero when there was none.
        watermark: WhmcsOrderId,
    },
    /// AddOrder certainly had no effect.
    NotPlaced,
    /// AddOrder may have had its effect.
    PlaceUnknown {
        /// When the missing reply was noticed.
        at: Timestamp,
    },
    /// A complete search after an unknown AddOrder found nothing.
    SearchedEmpty {
        /// When.
        at: Timestamp,
    },
    /// The order exists in WHMCS.
    Placed {
        /// The order.
        order: WhmcsOrderId,
    },
    /// The order was read back and matches the plan.
    Verified {
        /// Which service belongs to which line.
        lines: Vec<PlacedLine>,
        /// Whether WHMCS kept the marker that AddOrder sent.
        marker: MarkerCheck,
    },
    /// Intent: AcceptOrder is about to be called.
    Accepting {
        /// When.
        at: Timestamp,
    },
    /// AcceptOrder certainly had no effect.
    NotAccepted,
    /// AcceptOrder answered success.
    AcceptAnswered,
    /// AcceptOrder reported a failure in the words of WHMCS or the module.
    AcceptFailed {
        /// The reported text.
        text: String,
    },
    /// AcceptOrder may have had its effect.
    AcceptUnknown {
        /// When the missing reply was noticed.
        at: Timestamp,
    },
    /// Intent: ModuleCreate is about to be called.
    Creating {
        /// When.
        at: Timestamp,
        /// For this service.
        service: ServiceId,
    },
    /// ModuleCreate certainly had no effect.
    NotCreated,
    /// ModuleCreate answered success or that there is nothing to create.
    Created {
        /// For this service.
        service: ServiceId,
    },
    /// ModuleCreate reported a failure in the module's words.
    CreateFailed {
        /// For this service.
        service: ServiceId,
        /// The reported text.
        text: String,
    },
    /// ModuleCreate may have had its effect.
    CreateUnknown {
        /// When the missing reply was noticed.
        at: Timestamp,
    },
    /// Order and services were read back and are all active.
    Accepted,
    /// WHMCS denies us access (credential, address, role); the order waits.
    Held {
        /// Since when.
        at: Timestamp,
    },
    /// This attempt fails.
    Refused(Refusal),
    /// The service ids were written to the order's lines.
    ItemsReported,
    /// The outcome was written to the order.
    Reported,
    /// An operator made us forget a WHMCS order that staff ended, so that a new one may be placed.
    Forgotten {
        /// The order to forget.
        order: WhmcsOrderId,
    },
}

impl Fact {
    /// Stable name, for storage, logs and timelines.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Checked { .. } => "checked",
            Self::CreatingClient { .. } => "creating_client",
            Self::ClientNotCreated => "client_not_created",
            Self::ClientUnknown { .. } => "client_unknown",
            Self::Client { .. } => "client",
            Self::Placing { .. } => "placing",
            Self::NotPlaced => "not_placed",
            Self::PlaceUnknown { .. } => "place_unknown",
            Self::SearchedEmpty { .. } => "searched_empty",
            Self::Placed { .. } => "placed",
            Self::Verified { .. } => "verified",
            Self::Accepting { .. } => "accepting",
            Self::NotAccepted => "not_accepted",
            Self::AcceptAnswered => "accept_answered",
            Self::AcceptFailed { .. } => "accept_failed",
            Self::AcceptUnknown { .. } => "accept_unknown",
            Self::Creating { .. } => "creating",
            Self::NotCreated => "not_created",
            Self::Created { .. } => "created",
            Self::CreateFailed { .. } => "create_failed",
            Self::CreateUnknown { .. } => "create_unknown",
            Self::Accepted => "accepted",
            Self::Held { .. } => "held",
            Self::Refused(_) => "refused",
            Self::ItemsReported => "items_reported",
            Self::Reported => "reported",
            Self::Forgotten { .. } => "forgotten",
        }
    }
}

impl Fact {
    /// Whether something may exist in WHMCS because of it, so that it must be kept for as long as
    /// the order may come up again. An order without such a fact can safely start from scratch.
    #[must_use]
    pub const fn binds(&self) -> bool {
        !matches!(
            self,
            Self::Checked { .. }
                | Self::Client { .. }
                | Self::Held { .. }
                | Self::Refused(_)
                | Self::ItemsReported
                | Self::Reported
        )
    }

    /// Whether it must be on disk before the next step: an intent, before its call, and what the
    /// report of the outcome goes on from, since an order that shows our report must not be taken for
    /// one that somebody else changed. A power cut may forget any other fact: then its intent stands
    /// without a result, as after a lost reply.
    #[must_use]
    pub const fn is_flushed(&self) -> bool {
        matches!(
            self,
            Self::CreatingClient { .. }
                | Self::Placing { .. }
                | Self::Accepting { .. }
                | Self::Creating { .. }
                | Self::Refused(_)
                | Self::ItemsReported
        )
    }

    /// Whether it need not be committed before the next step when it follows from reads: a crash in
    /// between costs the reads.
    #[must_use]
    pub const fn is_repeatable(&self) -> bool {
        matches!(
            self,
            Self::Checked { .. } | Self::Client { .. } | Self::Verified { .. } | Self::Accepted
        )
    }

    /// Whether the order list shows it and counts it as activity.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        matches!(
            self,
            Self::Checked { .. } | Self::Placed { .. } | Self::Refused(_) | Self::Forgotten { .. }
        )
    }

    /// Whether the fact proves that WHMCS granted us access. An intent, or a call without effect,
    /// proves nothing.
    #[must_use]
    pub(crate) const fn proves_access(&self) -> bool {
        !matches!(
            self,
            Self::Held { .. }
                | Self::CreatingClient { .. }
                | Self::ClientNotCreated
                | Self::Placing { .. }
                | Self::NotPlaced
                | Self::Accepting { .. }
                | Self::NotAccepted
                | Self::Creating { .. }
                | Self::NotCreated
        )
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
