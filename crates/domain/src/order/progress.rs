//! What exists in WHMCS for an order, according to its facts.

use std::time::Duration;

use crate::key::{ClientId, WhmcsOrderId};
use crate::order::{ActivationState, Fact, PlacedLine};
use crate::time::Timestamp;

/// What exists in WHMCS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Progress {
    /// Nothing recorded.
    #[default]
    Nothing,
    /// A client may have been created.
    CreatingClient(Placing),
    /// The client is resolved.
    ClientResolved {
        /// The client.
        client: ClientId,
    },
    /// An order may have been created.
    Placing {
        /// The client.
        client: ClientId,
        /// The client's highest order id before our first AddOrder.
        watermark: WhmcsOrderId,
        /// The newest AddOrder whose outcome is unknown.
        unknown: Option<UnknownCall>,
        /// State of the last call.
        call: Placing,
    },
    /// The order exists and has not been read back yet.
    Placed {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// The client's highest order id before our first AddOrder; `None` when we never called it.
        /// A second order created by a repeated call has a higher id.
        watermark: Option<WhmcsOrderId>,
    },
    /// The order matches the plan and is being activated.
    Activating {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// Which service belongs to which line.
        lines: Vec<PlacedLine>,
        /// State of the activation.
        state: ActivationState,
        /// Calls of this attempt whose outcome is unknown.
        unknown_calls: u32,
    },
    /// Everything is active.
    Accepted {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// Which service belongs to which line.
        lines: Vec<PlacedLine>,
    },
}

/// State of a call that must never be repeated blindly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placing {
    /// Its intent was recorded, its outcome was not.
    InFlight {
        /// When the intent was recorded.
        started_at: Timestamp,
    },
    /// It may have taken effect.
    Unknown {
        /// Time of the last search, or when the outcome became unknown.
        at: Timestamp,
        /// Complete searches so far that found nothing.
        empty_searches: u8,
    },
    /// An earlier attempt ended with its intent recorded and its outcome not, and the operator
    /// retried: the outcome is recorded as unknown first.
    ReopenedInFlight,
    /// Its outcome was unknown in an earlier attempt and the operator retried: once it can take no
    /// effect any more, one complete search follows, and then it may be called again.
    Reopened,
}

/// A call whose reply was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCall {
    /// When the outcome was recorded as unknown. The call may have been sent at any moment before:
    /// committing its intent can be slow, and its process may have crashed.
    pub since: Timestamp,
}

impl UnknownCall {
    /// The time after which the call can take no effect any more: WHMCS is assumed to finish within
    /// the call's timeout plus two quiet periods.
    #[must_use]
    pub fn expires_at(self, call_timeout: Duration, quiet: Duration) -> Timestamp {
        self.since + call_timeout + 2 * quiet
    }
}

/// How the previous attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PreviousAttempt {
    /// Without a result of its own: another request took over.
    Superseded,
    /// With a failure that a provisioning module reported.
    ModuleFailed,
    /// With any other result.
    Otherwise,
}

impl Progress {
    /// The progress a new attempt starts from. A client that was only resolved is looked up again,
    /// since the account may have been corrected meanwhile; nothing that exists is forgotten.
    ///
    /// An attempt that was superseded decided nothing: its AddOrder of unknown outcome may still
    /// take effect, so waiting and searching continue.
    pub(super) fn reopened(self, previous: PreviousAttempt) -> Self {
        match self {
            Self::Placing { .. } if previous == PreviousAttempt::Superseded => self,
            Self::Nothing | Self::CreatingClient(_) | Self::ClientResolved { .. } => Self::Nothing,
            Self::Placing {
                client,
                watermark,
                unknown,
                call,
            } => Self::Placing {
                client,
                watermark,
                unknown,
                call: match call {
                    Placing::InFlight { .. } | Placing::ReopenedInFlight => {
                        Placing::ReopenedInFlight
                    }
                    Placing::Unknown { .. } | Placing::Reopened => Placing::Reopened,
                },
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
                state,
                ..
            } => Self::Activating {
                client,
                order,
                lines,
                state: state.reopened(previous == PreviousAttempt::ModuleFailed),
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
                state: ActivationState::Answered,
                unknown_calls: 0,
            },
        }
    }

    pub(super) fn transition(self, fact: &Fact) -> Option<Self> {
        match (self, fact) {
            (Self::Nothing, Fact::CreatingClient { at }) => {
                Some(Self::CreatingClient(Placing::InFlight { started_at: *at }))
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
                    call: Placing::InFlight { started_at: *at },
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
            ) => Self::transition_in_placing(client, watermark, unknown, call, fact),
            (Self::ClientResolved { client }, Fact::Placed { order }) => Some(Self::Placed {
                client,
                order: *order,
                watermark: None,
            }),
            // Staff may have resolved a duplicate in favour of another order.
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
                    state: ActivationState::NotStarted,
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
                    state,
                    unknown_calls,
                },
                fact,
            ) => Some(Self::Activating {
                client,
                order,
                lines,
                state: state.transition(fact)?,
                unknown_calls: match fact {
                    Fact::AcceptUnknown { .. } | Fact::CreateUnknown { .. } => unknown_calls + 1,
                    _ => unknown_calls,
                },
            }),
            _ => None,
        }
    }

    fn transition_in_placing(
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
            (Placing::ReopenedInFlight, Fact::PlaceUnknown { at }) => {
                with(Placing::Reopened, Some(UnknownCall { since: *at }))
            }
            (Placing::Unknown { .. }, Fact::SearchedEmpty { at }) => {
                with(call.searched(*at)?, unknown)
            }
            // The watermark of the first call is kept: an order that it may have created has a
            // higher id. An earlier release recorded it after a retry without the unknown outcome of the
            // call in flight.
            (Placing::Reopened | Placing::ReopenedInFlight, Fact::Placing { at, .. }) => {
                with(Placing::InFlight { started_at: *at }, unknown)
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
            Self::InFlight { .. } | Self::ReopenedInFlight | Self::Reopened => None,
        }
    }
}
