//! The order's state: a fold over its facts.

use crate::failure::Refusal;
use crate::key::{ClientId, IdemKey, JobId, WhmcsOrderId};
use crate::order::{Fact, PlacedLine, SetUp};
use crate::time::Timestamp;

/// Where an order stands. Moved only by facts, by [`OrderState::apply`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderState {
    /// The attempt that began last, with `Activation_IdemKey__c` as it was at its start.
    pub attempt: Option<(JobId, Option<IdemKey>)>,
    /// How far that attempt has come.
    pub phase: Phase,
    /// What exists in WHMCS. Outlives attempts: what was created stays created.
    pub progress: Progress,
    /// Whether this attempt wrote the service ids to the order's lines.
    pub items_reported: bool,
    /// Since when WHMCS has been refusing us as such.
    pub held: Option<Timestamp>,
    /// WHMCS orders that an operator told us to forget.
    pub forgotten: Vec<WhmcsOrderId>,
}

/// How far the attempt has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Nothing was looked at yet.
    #[default]
    Requested,
    /// At work.
    Working,
    /// It ends badly, and that is still to be reported.
    Refused(Refusal),
    /// Its outcome stands in the CRM.
    Reported,
}

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

/// A fact that cannot follow the state it met.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fact `{fact}` cannot follow state {state:?}")]
pub struct IllegalFact {
    /// The state.
    pub state: Box<OrderState>,
    /// The fact.
    pub fact: Box<Fact>,
}

impl OrderState {
    /// The state after all these facts.
    ///
    /// # Errors
    /// [`IllegalFact`] for the first fact that cannot follow.
    pub fn replay<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Result<Self, IllegalFact> {
        facts.into_iter().try_fold(Self::default(), Self::apply)
    }

    /// The state after one more fact.
    ///
    /// # Errors
    /// [`IllegalFact`] with both halves when the fact cannot follow.
    pub fn apply(self, fact: &Fact) -> Result<Self, IllegalFact> {
        let before = self.clone();
        self.moved(fact).ok_or_else(|| IllegalFact {
            state: Box::new(before),
            fact: Box::new(fact.clone()),
        })
    }

    /// The WHMCS order, once there is one.
    #[must_use]
    pub fn whmcs_order(&self) -> Option<WhmcsOrderId> {
        match &self.progress {
            Progress::Placed { order, .. }
            | Progress::SettingUp { order, .. }
            | Progress::Accepted { order, .. } => Some(*order),
            Progress::Nothing
            | Progress::CreatingClient(_)
            | Progress::ClientKnown { .. }
            | Progress::Placing { .. } => None,
        }
    }

    /// The services that exist, once they were verified.
    #[must_use]
    pub fn placed_lines(&self) -> &[PlacedLine] {
        match &self.progress {
            Progress::SettingUp { lines, .. } | Progress::Accepted { lines, .. } => lines,
            _ => &[],
        }
    }

    fn moved(mut self, fact: &Fact) -> Option<Self> {
        match fact {
            Fact::Checked { job, idem_key, .. } => return self.begun(job, idem_key.clone()),
            Fact::Forgotten { order } => {
                if self.whmcs_order() == Some(*order) {
                    self.progress = Progress::Nothing;
                }
                self.forgotten.push(*order);
                return Some(self);
            }
            Fact::ItemsReported => {
                matches!(self.phase, Phase::Working | Phase::Refused(_)).then_some(())?;
                self.items_reported = true;
                return Some(self);
            }
            Fact::Reported => {
                matches!(self.phase, Phase::Working | Phase::Refused(_)).then_some(())?;
                self.phase = Phase::Reported;
                return Some(self);
            }
            _ => {}
        }
        (self.phase == Phase::Working).then_some(())?;
        match fact {
            Fact::Held { at } => {
                self.held = self.held.or(Some(*at));
                return Some(self);
            }
            Fact::Refused(refusal) => self.phase = Phase::Refused(refusal.clone()),
            _ => self.progress = self.progress.moved(fact)?,
        }
        if fact.shows_admission() {
            self.held = None;
        }
        Some(self)
    }

    fn begun(mut self, job: &JobId, idem_key: Option<IdemKey>) -> Option<Self> {
        if self
            .attempt
            .as_ref()
            .is_some_and(|(earlier, _)| earlier == job)
        {
            return None;
        }
        let judged = self.phase != Phase::Working;
        self.attempt = Some((job.clone(), idem_key));
        self.phase = Phase::Working;
        self.items_reported = false;
        self.held = None;
        self.progress = self.progress.reopened(judged);
        Some(self)
    }
}

impl Progress {
    /// What a new attempt starts from. A client that was merely known is looked up again,
    /// since the account may have been mended meanwhile; nothing that exists is forgotten.
    ///
    /// `judged`: the last attempt came to an end of its own, so that whoever asks again knows
    /// how it ended. One that was merely overtaken settled nothing: an AddOrder of unknown
    /// outcome may still be at work, and goes on being waited and looked for.
    fn reopened(self, judged: bool) -> Self {
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

    fn moved(self, fact: &Fact) -> Option<Self> {
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
