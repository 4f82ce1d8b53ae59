//! Dead letters that a person wants read again.

use std::time::Duration;

use domain::job::{Admission, NewJob, Source};
use domain::ports::{DeadLetterView, Epoch, StoreError};

use crate::store::refused;
use crate::{Intake, measure};

/// How often the leader looks for letters.
const LOOK: Duration = Duration::from_secs(3);
/// Letters read at a time.
const SOME: usize = 50;

impl Intake {
    /// Reads letters again while this process leads; never returns. Only what the store takes
    /// under our term counts, and a letter that cannot be told about now waits on.
    pub(crate) async fn read_letters(&self, epoch: Epoch) {
        loop {
            self.ports.clock.sleep(LOOK).await;
            let channel = &self.settings.channel;
            let asked = match self.ports.store.requested_redrives(channel, SOME).await {
                Ok(asked) => asked,
                Err(error) => {
                    tracing::warn!(%error, "the store does not say which letters to read again");
                    continue;
                }
            };
            for view in asked {
                if let Err(error) = self.read_letter(epoch, &view).await {
                    tracing::warn!(letter = view.number, %error, "what came of a dead letter was not stored");
                    break;
                }
            }
        }
    }

    async fn read_letter(&self, epoch: Epoch, view: &DeadLetterView) -> Result<(), StoreError> {
        let letter = view.number;
        let read = match self.ports.source.read_again(&view.letter).await {
            Ok(read) => read.map(|request| NewJob::of_event(&view.letter.event, request)),
            Err(error) => {
                tracing::warn!(letter, %error, "a dead letter cannot be read now; it waits");
                return Ok(());
            }
        };
        let channel = &self.settings.channel;
        let store = &self.ports.store;
        let admission = match (store.redrive(channel, epoch, letter, &read).await, &read) {
            // It stays a letter, with its bytes, and no other waits for it.
            (Err(StoreError::Unstorable(error)), Ok(job)) => {
                let refused = Err(refused(job, &error.to_string()));
                store.redrive(channel, epoch, letter, &refused).await?
            }
            (answered, _) => answered?,
        };
        tracing::info!(letter, event = %view.letter.event, ?admission, "a dead letter was read again");
        if admission == Admission::Enqueued {
            measure::enqueued(Source::Event, 1);
        }
        Ok(())
    }
}
