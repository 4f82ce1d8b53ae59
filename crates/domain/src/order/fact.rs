//! What a finished step taught us.

use std::fmt;

use crate::failure::Refusal;
use crate::id::AccountId;
use crate::key::{ClientId, IdemKey, JobId, ServiceId, WhmcsOrderId};
use crate::order::PlacedLine;
use crate::time::Timestamp;

/// What reading an order back told about the marker in its notes.
///
/// WHMCS does not document that it keeps the notes of AddOrder, and an upgrade or a hook can
/// end it at any time, so the newest evidence decides whether a search can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkerCheck {
    /// AddOrder named the order, and its notes carried the marker afterwards.
    Kept,
    /// The order is ours, and its notes did not carry the marker.
    Dropped,
    /// The marker may have been written by somebody else than AddOrder: no evidence.
    Unchecked,
}

/// One thing that is known about an order. Facts are only ever added.
///
/// A fact named in the present participle (`Placing`, `Accepting`, …) is an *intent*: it is
/// committed before its call, so that a reply lost on the way is unknown and never "failed".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// An attempt began: the order was `Activating`.
    Checked {
        /// The attempt's job.
        job: JobId,
        /// `Activation_IdemKey__c` as it was then.
        idem_key: Option<IdemKey>,
        /// `OrderNumber`, for people.
        number: Option<String>,
        /// Who buys, for people. `None` also where an older release recorded it.
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
        /// When the reply was missed.
        at: Timestamp,
    },
    /// The client to order for is known and open.
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
        /// When the reply was missed, or found to be missing.
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
    /// The order was read back and is what was asked for.
    Verified {
        /// Which service stands for which line.
        lines: Vec<PlacedLine>,
        /// Whether WHMCS kept the marker that AddOrder wrote.
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
    /// AcceptOrder reported a failure in WHMCS's or the module's own words.
    AcceptFailed {
        /// The words.
        text: String,
    },
    /// AcceptOrder may have had its effect.
    AcceptUnknown {
        /// When the reply was missed, or found to be missing.
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
    /// ModuleCreate answered success, or that there is nothing to create.
    Created {
        /// For this service.
        service: ServiceId,
    },
    /// ModuleCreate reported a failure in the module's own words.
    CreateFailed {
        /// For this service.
        service: ServiceId,
        /// The words.
        text: String,
    },
    /// ModuleCreate may have had its effect.
    CreateUnknown {
        /// When the reply was missed, or found to be missing.
        at: Timestamp,
    },
    /// Order and services were read back and are all active.
    Accepted,
    /// WHMCS refuses us as such (credential, address, role); the order waits.
    Held {
        /// Since when.
        at: Timestamp,
    },
    /// This attempt ends badly.
    Refused(Refusal),
    /// The service ids stand on the order's lines.
    ItemsReported,
    /// The outcome stands on the order.
    Reported,
    /// An operator told us to forget a WHMCS order that staff ended, so that a new one may
    /// be placed.
    Forgotten {
        /// The order to forget.
        order: WhmcsOrderId,
    },
}

impl Fact {
    /// Stable name of the kind of fact, for storage, logs and timelines.
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
    /// Whether something may stand in WHMCS because of it, so that it must be known for as
    /// long as the order may come up again. Without such a fact, an order can be begun anew
    /// as if it had never been seen.
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

    /// Whether the list of orders shows it, and counts it as activity.
    #[must_use]
    pub const fn is_listed(&self) -> bool {
        matches!(
            self,
            Self::Checked { .. } | Self::Placed { .. } | Self::Refused(_) | Self::Forgotten { .. }
        )
    }

    /// Whether WHMCS must have let us in for this to be known. An intent, or a call without
    /// effect, says nothing of that.
    #[must_use]
    pub(crate) const fn shows_admission(&self) -> bool {
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
