//! When jobs are due.

use std::time::Duration;

use domain::ports::StoreError;
use domain::time::Timestamp;
use sqlx::Row;

use super::SqliteStore;
use crate::error::OrUnavailable;

/// The polling interval while workers are paused.
const PAUSED: Duration = Duration::from_secs(1);

impl SqliteStore {
    /// The time until a job may be due, at most `limit`.
    pub(super) async fn at_most_until_due(&self, limit: Duration) -> Duration {
        match self.next_due().await {
            // A job that may not be taken must not wake waiters again and again.
            _ if self.is_paused().await => limit.min(PAUSED),
            Ok(Some(due)) => limit.min(due.since(self.clock.now())),
            Ok(None) | Err(_) => limit,
        }
    }

    /// Whether an operator paused the workers; `false` when that cannot be read.
    async fn is_paused(&self) -> bool {
        let found = sqlx::query("SELECT 1 FROM pause WHERE what = 'worker'")
            .fetch_optional(&self.readers)
            .await;
        matches!(found, Ok(Some(_)))
    }

    /// Whether a claim may find a job. Most of the time there is nothing to claim, and this only
    /// reads.
    pub(super) async fn may_be_due(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        Ok(self.next_due().await?.is_some_and(|due| due <= now))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(
            // A job that waits for an older one of its order is due when that one ends.
            "SELECT min(at) FROM (
                 SELECT at FROM (
                     SELECT due_at AS at FROM job
                     WHERE state = 'queued' AND NOT EXISTS (
                         SELECT 1 FROM job AS older
                         WHERE older.order_id = job.order_id AND older.seq < job.seq
                           AND older.state IN ('queued', 'leased'))
                     ORDER BY due_at, seq LIMIT 1)
                 UNION ALL
                 SELECT min(lease_until) FROM job WHERE state = 'leased')",
        )
        .fetch_one(&self.readers)
        .await
        .or_unavailable()?;
        let at: Option<i64> = row.try_get(0).or_unavailable()?;
        Ok(at.map(Timestamp::from_millis))
    }
}
