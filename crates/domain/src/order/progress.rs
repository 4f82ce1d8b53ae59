//! What exists in WHMCS for an order, as far as its facts tell.

use std::time::Duration;

use crate::key::{ClientId, WhmcsOrderId};
use crate::order::{ActivationState, Fact, PlacedLine};
use crate::time::Timestamp;

/// What exists in WHMCS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing that we know of.
    #[default]
    Nothing,
    /// A client may have been created.
    CreatingClient(Placing),
    /// The client is known.
    ClientResolved {
        /// The client.
        client: ClientId,
    },
    /// An order may have been created.
    Placing {
        /// The client it is for.
        client: ClientId,
        /// The client's highest order id before our first AddOrder.
        watermark: WhmcsOrderId,
        /// The newest AddOrder whose outcome is unknown.
        unknown: Option<UnknownCall>,
        /// How the last call stands.
        call: Placing,
    },
    /// The order exists and was not read back yet.
    Placed {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// The client's highest order id before our first AddOrder; `None` when we never
        /// called it. A second order that a repeated call made lies above it.
        watermark: Option<WhmcsOrderId>,
    },
    /// The order is what was asked for and is being set up.
    Activating {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// Which service stands for which line.
        lines: Vec<PlacedLine>,
        /// How far.
        set_up: ActivationState,
        /// Calls of this attempt whose outcome is unknown.
        unknown_calls: u32,
    },
    /// Everything is active.
    Accepted {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// Which service stands for which line.
        lines: Vec<PlacedLine>,
    },
}

/// How a call stands that must never be repeated blindly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placing {
    /// Its intent was committed and its outcome was not.
    InFlight {
        /// When the intent was recorded.
        begun: Timestamp,
    },
    /// It may have had its effect.
    Unknown {
        /// Since when nothing was heard.
        at: Timestamp,
        /// Complete searches since then that found nothing.
        empty_searches: u8,
    },
    /// It ended unknown in an earlier attempt and the operator has asked again: once no effect
    /// can come any more, one complete search, and then it may be called anew.
    Reopened,
}

/// A call whose reply was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCall {
    /// Since when its outcome is known to be unknown. The call may have been sent at any moment
    /// until then: its intent can be slow to be committed, and its process may have died.
    pub since: Timestamp,
}

impl UnknownCall {
    /// From when on the call can take no effect any more: WHMCS is assumed to have done all it
    /// will do within the time limit of the call and two quiet periods.
    #[must_use]
    pub fn expires_at(self, call_timeout: Duration, quiet: Duration) -> Timestamp {
        self.since + call_timeout + 2 * quiet
    }
}

/// How the attempt before a new one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Without a result of its own: the order went on by another request.
    Overtaken,
    /// With a failure that a provisioning module reported.
    ModuleFailed,
    /// With any other result.
    Otherwise,
}

impl Progress {
    /// What a new attempt starts from. A client that was merely known is looked up again,
    /// since the account may have been mended meanwhile; nothing that exists is forgotten.
    ///
    /// `ended`: how the last attempt ended, so that whoever asks again knows. One that was
    /// merely overtaken settled nothing: an AddOrder of unknown outcome may still be at work,
    /// and goes on being waited and looked for.
    pub(super) fn reopened(self, ended: Ended) -> Self {
        match self {
            Self::Placing { .. } if ended == Ended::Overtaken => self,
            Self::Nothing | Self::CreatingClient(_) | Self::ClientResolved { .. } => Self::Nothing,
            Self::Placing {
                client,
                watermark,
                unknown,
                call,
            } => Self::Placing {
                client,
                watermark,
                unknown: match call {
                    Placing::InFlight { begun } => Some(UnknownCall { since: begun }),
                    Placing::Unknown { .. } | Placing::Reopened => unknown,
                },
                call: Placing::Reopened,
            },
            Self::Placed {
                client,
                order,
                watermark,
            } => Self::Placed {
                client,
                order,
                watermark,
            },
            Self::Activating {
                client,
                order,
                lines,
                set_up,
                ..
            } => Self::Activating {
                client,
                order,
                lines,
                set_up: set_up.reopened(ended == Ended::ModuleFailed),
                unknown_calls: 0,
            },
            Self::Accepted {
                client,
                order,
                lines,
            } => Self::Activating {
                client,
                order,
                lines,
                set_up: ActivationState::Answered,
                unknown_calls: 0,
            },
        }
    }

    pub(super) fn moved(self, fact: &Fact) -> Option<Self> {
        match (self, fact) {
            (Self::Nothing, Fact::CreatingClient { at }) => {
                Some(Self::CreatingClient(Placing::InFlight { begun: *at }))
            }
            (Self::CreatingClient(Placing::InFlight { .. }), Fact::ClientNotCreated) => {
                Some(Self::Nothing)
            }
            (Self::CreatingClient(Placing::InFlight { .. }), Fact::ClientUnknown { at }) => {
                Some(Self::CreatingClient(Placing::Unknown {
                    at: *at,
                    empty_searches: 0,
                }))
            }
            (Self::CreatingClient(call), Fact::SearchedEmpty { at }) => {
                Some(Self::CreatingClient(call.searched(*at)?))
            }
            (Self::Nothing | Self::CreatingClient(_), Fact::Client { client }) => {
                Some(Self::ClientResolved { client: *client })
            }
            (Self::ClientResolved { client }, Fact::Placing { at, watermark }) => {
                Some(Self::Placing {
                    client,
                    watermark: *watermark,
                    unknown: None,
                    call: Placing::InFlight { begun: *at },
                })
            }
            (
                Self::Placing {
                    client,
                    watermark,
                    unknown,
                    call,
                },
                fact,
            ) => Self::moved_in_placing(client, watermark, unknown, call, fact),
            (Self::ClientResolved { client }, Fact::Placed { order }) => Some(Self::Placed {
                client,
                order: *order,
                watermark: None,
            }),
            // Staff may have settled a duplicate in favour of another order.
            (
                Self::Placed {
                    client, watermark, ..
                },
                Fact::Placed { order },
            ) => Some(Self::Placed {
                client,
                order: *order,
                watermark,
            }),
            (Self::Placed { client, order, .. }, Fact::Verified { lines, .. }) => {
                let lines = lines.clone();
                Some(Self::Activating {
                    client,
                    order,
                    lines,
                    set_up: ActivationState::NotBegun,
                    unknown_calls: 0,
                })
            }
            (
                Self::Activating {
                    client,
                    order,
                    lines,
                    ..
                },
                Fact::Accepted,
            ) => Some(Self::Accepted {
                client,
                order,
                lines,
            }),
            (
                Self::Activating {
                    client,
                    order,
                    lines,
                    set_up,
                    unknown_calls,
                },
                fact,
            ) => Some(Self::Activating {
                client,
                order,
                lines,
                set_up: set_up.moved(fact)?,
                unknown_calls: match fact {
                    Fact::AcceptUnknown { .. } | Fact::CreateUnknown { .. } => unknown_calls + 1,
                    _ => unknown_calls,
                },
            }),
            _ => None,
        }
    }

    fn moved_in_placing(
        client: ClientId,
        watermark: WhmcsOrderId,
        unknown: Option<UnknownCall>,
        call: Placing,
        fact: &Fact,
    ) -> Option<Self> {
        let with = |call, unknown| {
            Some(Self::Placing {
                client,
                watermark,
                unknown,
                call,
            })
        };
        match (call, fact) {
            (_, Fact::Placed { order }) => Some(Self::Placed {
                client,
                order: *order,
                watermark: Some(watermark),
            }),
            (Placing::InFlight { .. }, Fact::NotPlaced) if unknown.is_some() => {
                with(Placing::Reopened, unknown)
            }
            (Placing::InFlight { .. }, Fact::NotPlaced) => Some(Self::ClientResolved { client }),
            (Placing::InFlight { .. }, Fact::PlaceUnknown { at }) => with(
                Placing::Unknown {
                    at: *at,
                    empty_searches: 0,
                },
                Some(UnknownCall { since: *at }),
            ),
            (Placing::Unknown { .. }, Fact::SearchedEmpty { at }) => {
                with(call.searched(*at)?, unknown)
            }
            // The watermark of the first call is kept: what it may have made lies above it.
            (Placing::Reopened, Fact::Placing { at, .. }) => {
                with(Placing::InFlight { begun: *at }, unknown)
            }
            _ => None,
        }
    }
}

impl Placing {
    fn searched(self, at: Timestamp) -> Option<Self> {
        match self {
            Self::Unknown { empty_searches, .. } => Some(Self::Unknown {
                at,
                empty_searches: empty_searches.saturating_add(1),
            }),
            Self::InFlight { .. } | Self::Reopened => None,
        }
    }
}
