//! What follows when the stream breaks: a pause, and another start if the cursor was lost.

use std::time::Duration;

use domain::job::backoff;
use domain::ports::{Epoch, Gap, Start, StreamError};
use error_chain::chain;

use crate::{Intake, OnLoss, Pause, Status, measure, pause_after};

/// Where to start instead of a lost cursor. The lost cursor stays stored until a message replaces
/// it, so the next leader after a crash finds it lost too and does the same.
pub(crate) struct RestartPoint {
    /// The term in which it was lost.
    pub(crate) epoch: Epoch,
    pub(crate) start: Start,
}

impl Intake {
    /// Waits as long as the error requires; returns the new start if the cursor was lost.
    pub(crate) async fn handle_stream_error(
        &self,
        error: StreamError,
        epoch: Epoch,
        failures: u32,
    ) -> Option<RestartPoint> {
        measure::stream_ended(&self.settings.channel, &error);
        // A refused login is logged by the token manager at each try.
        if !matches!(error, StreamError::LoggedOut { .. }) {
            tracing::warn!(error = %chain(&error), class = error.class(), failures, "stream ended");
        }
        let stopped = matches!(
            error,
            StreamError::Denied { .. } | StreamError::LoggedOut { .. }
        );
        let status = if stopped {
            Status::Stopped
        } else {
            Status::Connecting
        };
        self.health.error(status, chain(&error).to_string());
        let restart = match (&error, self.settings.on_loss) {
            (StreamError::CursorLost { .. }, OnLoss::Stop) => {
                self.health
                    .error(Status::Stopped, chain(&error).to_string());
                self.wait(Pause::Fixed(Duration::from_secs(600)), epoch, failures)
                    .await;
                return None;
            }
            (StreamError::CursorLost { detail }, OnLoss::All) => {
                self.record_gap(epoch, detail, Start::Earliest).await
            }
            (StreamError::CursorLost { detail }, OnLoss::Latest) => {
                self.record_gap(epoch, detail, Start::Latest).await
            }
            _ => None,
        };
        self.wait(pause_after(&error), epoch, failures).await;
        restart
    }

    /// `None` when the gap could not be recorded: the cursor will be lost again.
    async fn record_gap(&self, epoch: Epoch, detail: &str, start: Start) -> Option<RestartPoint> {
        let channel = &self.settings.channel;
        let from = self.ports.store.cursor(channel).await.ok().flatten();
        let gap = Gap {
            from: from.map(|cursor| cursor.committed_at),
            // The bus's message may contain NUL, which PostgreSQL rejects.
            detail: format!("{detail}; starting again from {start:?}").replace('\0', "\u{fffd}"),
        };
        tracing::error!(detail = gap.detail, "cursor lost; events may be missing");
        match self
            .ports
            .store
            .record_cursor_loss(channel, epoch, &gap)
            .await
        {
            Ok(()) => {
                measure::cursor_lost(channel);
                self.missed.notify_one();
                Some(RestartPoint { epoch, start })
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "cursor loss not recorded");
                None
            }
        }
    }

    /// Waits while keeping leadership.
    async fn wait(&self, pause: Pause, epoch: Epoch, failures: u32) {
        let wait = match pause {
            Pause::Backoff { base, cap } => backoff(
                base,
                cap,
                failures.saturating_sub(1),
                self.ports.entropy.fraction(),
            ),
            Pause::Fixed(wait) => wait,
        };
        let mut renewal = tokio::time::interval(self.settings.lease / 3);
        tokio::select! {
            biased;
            () = self.ports.clock.sleep(wait) => {}
            () = self.keep_leadership(epoch, &mut renewal) => {}
        }
    }
}
