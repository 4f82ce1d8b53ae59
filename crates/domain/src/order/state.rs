//! The order's state: a fold over its facts.

use crate::failure::{Code, Refusal};
use crate::key::{ClientId, IdemKey, JobId, WhmcsOrderId};
use crate::order::progress::PreviousAttempt;
use crate::order::{Fact, PlacedLine, Placing, Progress};
use crate::time::Timestamp;

/// The state of an order. Changed only by facts, through [`OrderState::apply`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OrderState {
    /// The latest attempt, with `Activation_IdemKey__c` at its start.
    pub attempt: Option<(JobId, Option<IdemKey>)>,
    /// The phase of that attempt.
    pub phase: Phase,
    /// What exists in WHMCS. Survives attempts: what was created stays created.
    pub progress: Progress,
    /// Whether this attempt wrote the service ids to the order's lines.
    pub items_reported: bool,
    /// Since when WHMCS has been denying us access.
    pub held: Option<Timestamp>,
    /// WHMCS orders that an operator made us forget.
    pub forgotten: Vec<WhmcsOrderId>,
    /// The client's highest order id before our first AddOrder for it. Survives attempts: every
    /// order we may have placed has a higher id.
    watermark: Option<(ClientId, WhmcsOrderId)>,
    /// Why the last failed attempt failed.
    last_refusal: Option<Code>,
    /// The last applied fact.
    last: Option<Fact>,
}

/// The phase of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Not started.
    #[default]
    Requested,
    /// In progress.
    Working,
    /// It failed, and that is still to be reported.
    Refused(Refusal),
    /// Its outcome was written to the CRM.
    Reported,
}

/// A fact that cannot follow the state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fact `{fact}` cannot follow state {state:?}")]
#[non_exhaustive]
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

    /// The state after one more fact. A fact recorded twice in succession counts once: a caller that
    /// did not learn whether a fact was stored records it again.
    ///
    /// # Errors
    /// [`IllegalFact`] with the state and the fact when the fact cannot follow.
    pub fn apply(self, fact: &Fact) -> Result<Self, IllegalFact> {
        if self.last.as_ref() == Some(fact) {
            return Ok(self);
        }
        let before = self.clone();
        let mut next = self.transition(fact).ok_or_else(|| IllegalFact {
            state: Box::new(before),
            fact: Box::new(fact.clone()),
        })?;
        next.last = Some(fact.clone());
        Ok(next)
    }

    /// The highest order id of this client before our first AddOrder for it; `None` when there was
    /// no AddOrder yet.
    #[must_use]
    pub fn watermark_of(&self, client: ClientId) -> Option<WhmcsOrderId> {
        let (of, watermark) = self.watermark?;
        (of == client).then_some(watermark)
    }

    /// Whether this intent is the last recorded fact and has no outcome yet.
    #[must_use]
    pub fn is_in_flight(&self, intent: &Fact) -> bool {
        self.last.as_ref() == Some(intent)
            && match &self.progress {
                Progress::CreatingClient(call) | Progress::Placing { call, .. } => {
                    matches!(call, Placing::InFlight { .. })
                }
                Progress::Activating { state, .. } => state.is_in_flight(),
                _ => false,
            }
    }

    /// Whether an attempt of this order has failed.
    #[must_use]
    pub fn has_failed_before(&self) -> bool {
        self.last_refusal.is_some()
    }

    /// The WHMCS order, once one exists.
    #[must_use]
    pub fn whmcs_order(&self) -> Option<WhmcsOrderId> {
        match &self.progress {
            Progress::Placed { order, .. }
            | Progress::Activating { order, .. }
            | Progress::Accepted { order, .. } => Some(*order),
            Progress::Nothing
            | Progress::CreatingClient(_)
            | Progress::ClientResolved { .. }
            | Progress::Placing { .. } => None,
        }
    }

    /// The services that exist, once they were verified.
    #[must_use]
    pub fn placed_lines(&self) -> &[PlacedLine] {
        match &self.progress {
            Progress::Activating { lines, .. } | Progress::Accepted { lines, .. } => lines,
            _ => &[],
        }
    }

    fn transition(mut self, fact: &Fact) -> Option<Self> {
        match fact {
            Fact::Checked { job, idem_key, .. } => {
                return self.start_attempt(job, idem_key.clone());
            }
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
            Fact::Refused(refusal) => {
                self.last_refusal = Some(refusal.code);
                self.phase = Phase::Refused(refusal.clone());
            }
            _ => self.progress = self.progress.transition(fact)?,
        }
        if let (
            Fact::Placing { .. },
            Progress::Placing {
                client, watermark, ..
            },
        ) = (fact, &self.progress)
            && self.watermark_of(*client).is_none()
        {
            self.watermark = Some((*client, *watermark));
        }
        if fact.proves_access() {
            self.held = None;
        }
        Some(self)
    }

    fn start_attempt(mut self, job: &JobId, idem_key: Option<IdemKey>) -> Option<Self> {
        if self
            .attempt
            .as_ref()
            .is_some_and(|(earlier, _)| earlier == job)
        {
            return None;
        }
        let previous = match (&self.phase, self.last_refusal) {
            (Phase::Working, _) => PreviousAttempt::Superseded,
            (_, Some(Code::WhmcsModuleFailed)) => PreviousAttempt::ModuleFailed,
            _ => PreviousAttempt::Otherwise,
        };
        self.attempt = Some((job.clone(), idem_key));
        self.phase = Phase::Working;
        self.items_reported = false;
        self.held = None;
        self.progress = self.progress.reopened(previous);
        Some(self)
    }
}
