//! Redrives of dead letters.

use std::time::Duration;

use domain::job::{Admission, NewJob, Source};
use domain::ports::{DeadLetterView, Epoch, StoreError};
use error_chain::chain;

use crate::store::refused;
use crate::{Intake, measure};

/// Interval of polls for requested redrives.
const POLL_EVERY: Duration = Duration::from_secs(3);
/// Redrives per poll.
const BATCH: usize = 50;

impl Intake {
    /// Carries out requested redrives while this process leads; never returns. Results are only
    /// stored under our term. A dead letter that cannot be decoded now keeps waiting.
    pub(crate) async fn redrive_requested(&self, epoch: Epoch) {
        loop {
            self.ports.clock.sleep(POLL_EVERY).await;
            let channel = &self.settings.channel;
            let requested = match self.ports.store.requested_redrives(channel, BATCH).await {
                Ok(requested) => requested,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "requested redrives not read");
                    continue;
                }
            };
            for view in requested {
                if let Err(error) = self.redrive(epoch, &view).await {
                    tracing::warn!(dead_letter = %view.number, error = %chain(&error), "redrive result not stored");
                    break;
                }
            }
        }
    }

    async fn redrive(&self, epoch: Epoch, view: &DeadLetterView) -> Result<(), StoreError> {
        let number = view.number;
        let decoded = match self.ports.source.read_again(&view.dead_letter).await {
            Ok(decoded) => {
                decoded.map(|request| NewJob::of_event(&view.dead_letter.event, request))
            }
            Err(error) => {
                tracing::warn!(dead_letter = %number, error = %chain(&error), "dead letter cannot be decoded now; redrive waits");
                return Ok(());
            }
        };
        let channel = &self.settings.channel;
        let store = &self.ports.store;
        let admission = match (
            store.redrive(channel, epoch, number, &decoded).await,
            &decoded,
        ) {
            // It stays a dead letter with its bytes and does not block others.
            (Err(StoreError::Unstorable(error)), Ok(job)) => {
                let refused = Err(refused(job, &error.to_string()));
                store.redrive(channel, epoch, number, &refused).await?
            }
            (result, _) => result?,
        };
        tracing::info!(dead_letter = %number, event = %view.dead_letter.event, ?admission, "dead letter redriven");
        if admission == Admission::Enqueued {
            measure::enqueued(Source::Event, 1);
        }
        Ok(())
    }
}
