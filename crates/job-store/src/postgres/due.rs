//! When jobs are due.

use std::time::Duration;

use domain::ports::StoreError;
use domain::time::Timestamp;
use sqlx::PgConnection;

use super::{PostgresStore, statement};
use crate::error::OrUnavailable;
use crate::row::Columns;
use crate::store::Commit;

/// The polling interval while no notification can arrive.
const POLL: Duration = Duration::from_secs(1);
/// The shortest wait: rows that another claim is just taking look due until it has committed.
const MOMENT: Duration = Duration::from_millis(5);

impl PostgresStore {
    /// A claim finds out by itself.
    pub(super) async fn may_be_due(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// The time until a job may be due, at most `limit`.
    pub(super) async fn at_most_until_due(&self, limit: Duration) -> Duration {
        let limit = match self.health.is_good() {
            true => limit,
            false => limit.min(POLL),
        };
        let due = self.run(Commit::Relaxed, |session| {
            Box::pin(next_due(session.connection, session.now))
        });
        match due.await {
            Ok(Some(due)) => limit.min(due.max(MOMENT)),
            Ok(None) => limit,
            Err(_) => limit.min(POLL),
        }
    }
}

/// How long until a job is due: zero when one is. A job that waits for an older one of its
/// order is due when that one ends.
async fn next_due(
    connection: &mut PgConnection,
    now: Timestamp,
) -> Result<Option<Duration>, StoreError> {
    // A job that may not be taken must not wake waiters again and again.
    let row = statement(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM pause WHERE what = 'worker') THEN 1000 ELSE
         least(
             (SELECT due_at FROM job
              WHERE state = 'queued' AND seq = (
                  SELECT min(live.seq) FROM job AS live
                  WHERE live.order_id = job.order_id AND live.state IN ('queued', 'leased'))
              ORDER BY due_at, seq LIMIT 1),
             (SELECT min(lease_until) FROM job WHERE state = 'leased')) - $1
         END AS wait",
    )
    .bind(now.as_millis())
    .fetch_one(&mut *connection)
    .await
    .or_unavailable()?;
    let wait = row.maybe_int("wait")?;
    Ok(wait.map(|wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0))))
}
