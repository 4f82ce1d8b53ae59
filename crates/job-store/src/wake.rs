//! Waking whoever waits for work.

use std::time::Duration;

use tokio::sync::Notify;

#[derive(Default)]
pub(crate) struct Notifier(Notify);

impl Notifier {
    /// Wakes whoever waits, and the next one who would.
    pub(crate) fn now(&self) {
        self.0.notify_waiters();
        self.0.notify_one();
    }

    /// Returns when something may have been written, at the latest after `limit`.
    pub(crate) async fn wait(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.0.notified()).await;
    }
}
