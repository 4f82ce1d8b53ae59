//! Recording what was learnt, and intents before their calls.

use std::time::Duration;

use domain::failure::Refusal;
use domain::order::Fact;
use domain::ports::{Release, StoreError};

use super::{Attempt, Flow};
use crate::worker::STORE_PAUSE;

impl Attempt<'_> {
    pub(super) async fn learn(&mut self, fact: Fact) -> Result<Flow, StoreError> {
        let next = self
            .state
            .clone()
            .apply(&fact)
            .map_err(|error| StoreError::Corrupt {
                what: format!("a new fact of order {}", self.claimed.job.order),
                source: Box::new(error),
            })?;
        let mut calls = self.calls.take();
        loop {
            let facts = std::slice::from_ref(&fact);
            match self
                .ports
                .queue
                .record(&self.claimed.lease, facts, &calls)
                .await
            {
                Ok(()) => break,
                // It may have been stored or not, and the same fact twice in a row is one. As
                // long as the lease holds nobody else can go on, so neither may we give up.
                Err(StoreError::Unavailable(error)) => {
                    tracing::warn!(
                        error,
                        fact = fact.name(),
                        "the store did not answer; recording the fact again"
                    );
                    calls.clear();
                    self.ports.clock.sleep(STORE_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
        tracing::info!(fact = fact.name(), "learnt");
        self.state = next;
        Ok(Flow::Continue)
    }

    pub(super) async fn refuse(&mut self, refusal: Refusal) -> Result<Flow, StoreError> {
        self.learn(Fact::Refused(refusal)).await
    }

    /// Commits an intent; the last thing before an effect, which is sent at once when `None`
    /// is answered. Until then this process remembers that nothing was sent, so that a store
    /// that stops answering leaves no doubt about it.
    ///
    /// Afterwards the lease must still hold by our own clock, or another worker may own the
    /// job: then the intent is withdrawn.
    pub(super) async fn intend(&mut self, intent: Fact) -> Result<Option<Flow>, StoreError> {
        let order = self.claimed.job.order;
        self.process.never_sent(order, intent.clone());
        self.learn(intent).await?;
        if self.hold.is_valid_at(self.ports.clock.monotonic()) {
            self.process.take_unsent(order);
            return Ok(None);
        }
        self.withdraw_unsent().await?;
        Ok(Some(Flow::Release(Release {
            after: Duration::ZERO,
            deferral: false,
        })))
    }

    /// Takes back an intent whose call this process never sent.
    pub(super) async fn withdraw_unsent(&mut self) -> Result<(), StoreError> {
        let order = self.claimed.job.order;
        let Some(intent) = self.process.take_unsent(order) else {
            return Ok(());
        };
        if !self.state.is_in_flight(&intent) {
            return Ok(());
        }
        let nothing_done = match &intent {
            Fact::CreatingClient { .. } => Fact::ClientNotCreated,
            Fact::Placing { .. } => Fact::NotPlaced,
            Fact::Accepting { .. } => Fact::NotAccepted,
            Fact::Creating { .. } => Fact::NotCreated,
            _ => return Ok(()),
        };
        tracing::info!(
            intent = intent.name(),
            "the call was never sent; intent withdrawn"
        );
        self.process.never_sent(order, intent);
        self.learn(nothing_done).await?;
        self.process.take_unsent(order);
        Ok(())
    }
}
