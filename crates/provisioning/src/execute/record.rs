//! Records facts, and intents before their calls.

use std::time::Duration;

use domain::failure::Refusal;
use domain::order::{Effect, Fact};
use domain::ports::{JobChange, JobUpdate, Release, StoreError};

use super::{Attempt, Flow};
use crate::process::Unsent;
use crate::worker::STORE_PAUSE;

impl Attempt<'_> {
    /// Records a fact that follows from reads.
    pub(super) async fn note(&mut self, fact: Fact) -> Result<Flow, StoreError> {
        if !fact.is_repeatable() {
            return self.record(fact).await;
        }
        self.apply(&fact)?;
        self.pending.push(fact);
        Ok(Flow::Continue)
    }

    /// Commits a fact, with those that wait.
    pub(super) async fn record(&mut self, fact: Fact) -> Result<Flow, StoreError> {
        self.apply(&fact)?;
        self.pending.push(fact);
        let update = self.update(JobChange::Keep);
        self.commit(&update).await?;
        self.known += update.facts.len();
        Ok(Flow::Continue)
    }

    /// Commits an update that keeps the job.
    pub(super) async fn commit(&self, update: &JobUpdate) -> Result<(), StoreError> {
        loop {
            match self.ports.queue.update(&self.claimed.lease, update).await {
                Ok(()) => break,
                // It may or may not have been stored; the store recognises a repeat. While the lease
                // is valid nobody else can continue, so keep trying.
                Err(StoreError::Unavailable(error)) => {
                    tracing::warn!(
                        error,
                        fact = update.facts.last().map(Fact::name),
                        "store did not answer; recording the fact again"
                    );
                    self.ports.clock.sleep(STORE_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        for fact in &update.facts {
            tracing::info!(fact = fact.name(), "fact recorded");
        }
        Ok(())
    }

    /// Ends the attempt, with the facts that wait and these.
    pub(super) async fn end(
        &mut self,
        change: JobChange,
        facts: &[Fact],
    ) -> Result<(), StoreError> {
        self.pending.extend_from_slice(facts);
        let update = self.update(change);
        self.guard.end();
        self.ports.queue.update(&self.claimed.lease, &update).await
    }

    /// An update of all that waits.
    pub(super) fn update(&mut self, change: JobChange) -> JobUpdate {
        JobUpdate {
            known: Some(self.known),
            facts: std::mem::take(&mut self.pending),
            calls: self.calls.take(),
            change,
        }
    }

    fn apply(&mut self, fact: &Fact) -> Result<(), StoreError> {
        let state = self.state.clone();
        self.state = state.apply(fact).map_err(|error| StoreError::Corrupt {
            what: format!("a new fact of order {}", self.claimed.job.order),
            source: Box::new(error),
        })?;
        Ok(())
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
