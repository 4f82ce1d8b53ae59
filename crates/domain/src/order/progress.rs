//! What exists in WHMCS for an order, as far as its facts tell.

use crate::key::{ClientId, WhmcsOrderId};
use crate::order::{Fact, PlacedLine, SetUp};
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
    ClientKnown {
        /// The client.
        client: ClientId,
    },
    /// An order may have been created.
    Placing {
        /// The client it is for.
        client: ClientId,
        /// The client's highest order id before our first AddOrder.
        watermark: WhmcsOrderId,
        /// Whether any AddOrder ever ended unknown.
        ever_unknown: bool,
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
    SettingUp {
        /// The client.
        client: ClientId,
        /// The order.
        order: WhmcsOrderId,
        /// Which service stands for which line.
        lines: Vec<PlacedLine>,
        /// How far.
        set_up: SetUp,
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
    InFlight,
    /// It may have had its effect.
    Unknown {
        /// Since when nothing was heard.
        at: Timestamp,
        /// Complete searches since then that found nothing.
        empty_searches: u8,
    },
    /// It ended unknown in an earlier attempt and the operator has asked again: one complete
    /// search, and then it may be called anew.
    Reopened,
}

impl Progress {
    /// What a new attempt starts from. A client that was merely known is looked up again,
    /// since the account may have been mended meanwhile; nothing that exists is forgotten.
    ///
    /// `judged`: the last attempt came to an end of its own, so that whoever asks again knows
    /// how it ended. One that was merely overtaken settled nothing: an AddOrder of unknown
    /// outcome may still be at work, and goes on being waited and looked for.
    pub(super) fn reopened(self, judged: bool) -> Self {
        match self {
            Self::Placing { .. } if !judged => self,
            Self::Nothing | Self::CreatingClient(_) | Self::ClientKnown { .. } => Self::Nothing,
            Self::Placing {
                client, watermark, ..
            } => Self::Placing {
                client,
                watermark,
                ever_unknown: true,
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
            Self::SettingUp {
                client,
                order,
                lines,
                set_up,
            } => Self::SettingUp {
                client,
                order,
                lines,
                set_up: set_up.reopened(),
            },
            Self::Accepted {
                client,
                order,
                lines,
            } => Self::SettingUp {
                client,
                order,
                lines,
                set_up: SetUp::Answered,
            },
        }
    }

    pub(super) fn moved(self, fact: &Fact) -> Option<Self> {
        match (self, fact) {
            (Self::Nothing, Fact::CreatingClient { .. }) => {
                Some(Self::CreatingClient(Placing::InFlight))
            }
            (Self::CreatingClient(Placing::InFlight), Fact::ClientNotCreated) => {
                Some(Self::Nothing)
            }
            (Self::CreatingClient(Placing::InFlight), Fact::ClientUnknown { at }) => {
                Some(Self::CreatingClient(Placing::Unknown {
                    at: *at,
                    empty_searches: 0,
                }))
            }
            (Self::CreatingClient(call), Fact::SearchedEmpty { at }) => {
                Some(Self::CreatingClient(call.searched(*at)?))
            }
            (Self::Nothing | Self::CreatingClient(_), Fact::Client { client }) => {
                Some(Self::ClientKnown { client: *client })
            }
            (Self::ClientKnown { client }, Fact::Placing { watermark, .. }) => {
                Some(Self::Placing {
                    client,
                    watermark: *watermark,
                    ever_unknown: false,
                    call: Placing::InFlight,
                })
            }
            (
                Self::Placing {
                    client,
                    watermark,
                    ever_unknown,
                    call,
                },
                fact,
            ) => Self::moved_in_placing(client, watermark, ever_unknown, call, fact),
            (Self::ClientKnown { client }, Fact::Placed { order }) => Some(Self::Placed {
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
                Some(Self::SettingUp {
                    client,
                    order,
                    lines,
                    set_up: SetUp::NotBegun,
                })
            }
            (
                Self::SettingUp {
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
                Self::SettingUp {
                    client,
                    order,
                    lines,
                    set_up,
                },
                fact,
            ) => Some(Self::SettingUp {
                client,
                order,
                lines,
                set_up: set_up.moved(fact)?,
            }),
            _ => None,
        }
    }

    fn moved_in_placing(
        client: ClientId,
        watermark: WhmcsOrderId,
        ever_unknown: bool,
        call: Placing,
        fact: &Fact,
    ) -> Option<Self> {
        let with = |call, ever_unknown| {
            Some(Self::Placing {
                client,
                watermark,
                ever_unknown,
                call,
            })
        };
        match (call, fact) {
            (_, Fact::Placed { order }) => Some(Self::Placed {
                client,
                order: *order,
                watermark: Some(watermark),
            }),
            (Placing::InFlight, Fact::NotPlaced) if ever_unknown => with(Placing::Reopened, true),
            (Placing::InFlight, Fact::NotPlaced) => Some(Self::ClientKnown { client }),
            (Placing::InFlight, Fact::PlaceUnknown { at }) => with(
                Placing::Unknown {
                    at: *at,
                    empty_searches: 0,
                },
                true,
            ),
            (Placing::Unknown { .. }, Fact::SearchedEmpty { at }) => {
                with(call.searched(*at)?, true)
            }
            // The watermark of the first call is kept: an earlier ghost lies above it.
            (Placing::Reopened, Fact::Placing { .. }) => with(Placing::InFlight, true),
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
            Self::InFlight | Self::Reopened => None,
        }
    }
}
