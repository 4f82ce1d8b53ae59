//! Records facts, and intents before their calls.

use std::time::Duration;

use domain::failure::Refusal;
use domain::order::{Effect, Fact};
use domain::ports::{JobChange, JobUpdate, Release, StoreError};

use super::{Attempt, Flow};
use crate::process::Unsent;
use crate::worker::STORE_PAUSE;

impl Attempt<'_> {
    pub(super) async fn record(&mut self, fact: Fact) -> Result<Flow, StoreError> {
        let next = self
            .state
            .clone()
            .apply(&fact)
            .map_err(|error| StoreError::Corrupt {
                what: format!("a new fact of order {}", self.claimed.job.order),
                source: Box::new(error),
            })?;
        let mut update = JobUpdate {
            facts: vec![fact.clone()],
            calls: self.calls.take(),
            change: JobChange::Keep,
        };
        loop {
            match self.ports.queue.update(&self.claimed.lease, &update).await {
                Ok(()) => break,
                // It may or may not have been stored, and a fact repeated in a row counts once.
                // While the lease is valid nobody else can continue, so keep trying.
                Err(StoreError::Unavailable(error)) => {
                    tracing::warn!(
                        error,
                        fact = fact.name(),
                        "store did not answer; recording the fact again"
                    );
                    update.calls.clear();
                    self.ports.clock.sleep(STORE_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        tracing::info!(fact = fact.name(), "fact recorded");
        self.state = next;
        Ok(Flow::Continue)
    }

    pub(super) async fn fail(&mut self, refusal: Refusal) -> Result<Flow, StoreError> {
        self.record(Fact::Refused(refusal)).await
    }

    /// Commits the intent of a call right before it; the caller makes the call when this returns
    /// `None`. Until then this process remembers that nothing was sent, so that a store that stops
    /// answering does not make the outcome unknown.
    ///
    /// If the lease has expired by our own clock, another worker may own the job: then the intent
    /// is withdrawn.
    pub(super) async fn record_intent(
        &mut self,
        effect: &Effect,
    ) -> Result<Option<Flow>, StoreError> {
        let order = self.claimed.job.order;
        let intent = effect.intent(self.now());
        let unsent = Unsent {
            intent: intent.clone(),
            withdrawal: effect.without_effect(),
        };
        self.process.mark_unsent(order, unsent);
        self.record(intent).await?;
        if self.guard.is_valid_at(self.ports.clock.monotonic()) {
            self.process.take_unsent(order);
            return Ok(None);
        }
        self.withdraw_unsent().await?;
        Ok(Some(Flow::Release(Release {
            after: Duration::ZERO,
            deferral: false,
        })))
    }

    /// Withdraws an intent whose call this process did not send.
    pub(super) async fn withdraw_unsent(&mut self) -> Result<(), StoreError> {
        let order = self.claimed.job.order;
        let Some(unsent) = self.process.take_unsent(order) else {
            return Ok(());
        };
        if !self.state.is_in_flight(&unsent.intent) {
            return Ok(());
        }
        let intent = unsent.intent.name();
        tracing::info!(intent, "intent withdrawn: its call was not sent");
        self.process.mark_unsent(order, unsent.clone());
        self.record(unsent.withdrawal).await?;
        self.process.take_unsent(order);
        Ok(())
    }
}
