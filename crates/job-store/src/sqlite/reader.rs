//! What people see.

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::Ending;
use domain::key::Channel;
use domain::ports::{JobReader, JobView, RecordedFact, StoreError, StreamView, Tally};
use sqlx::Row;

use crate::error::OrUnavailable;
use crate::row::{self, Columns};
use crate::sqlite::{SqliteStore, facts};

#[async_trait]
impl JobReader for SqliteStore {
    async fn jobs_of(&self, order: OrderId) -> Result<Vec<JobView>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, source, event_id, order_id, idem_key, correlation, requested_by,
                 requested_at, enqueued_at, state, started_at, ended_at
             FROM job WHERE order_id = ? ORDER BY seq",
        )
        .bind(order.as_str().to_owned())
        .fetch_all(&self.readers)
        .await
        .or_unavailable()?;
        rows.iter().map(row::view).collect()
    }

    async fn facts_of(&self, order: OrderId) -> Result<Vec<RecordedFact>, StoreError> {
        let mut connection = self.readers.acquire().await.or_unavailable()?;
        facts::of_order(&mut connection, order).await
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query("SELECT state, count(*) AS jobs FROM job GROUP BY state")
            .fetch_all(&self.readers)
            .await
            .or_unavailable()?;
        let names = ["queued", "leased"]
            .into_iter()
            .chain(Ending::ALL.map(Ending::name));
        let mut jobs: Vec<_> = names.map(|name| (name, 0)).collect();
        for found in &rows {
            let state = found.text("state")?;
            let count = found.int("jobs")?;
            if let Some(slot) = jobs.iter_mut().find(|(name, _)| *name == state) {
                slot.1 = u64::try_from(count).unwrap_or(0);
            }
        }
        let ages = sqlx::query(
            "SELECT (SELECT min(due_at) FROM job WHERE state = 'queued' AND due_at <= ?) AS due,
                    (SELECT count(*) FROM dead_letter WHERE closed_at IS NULL) AS letters",
        )
        .bind(now.as_millis())
        .fetch_one(&self.readers)
        .await
        .or_unavailable()?;
        let letters = ages.int("letters")?;
        Ok(Tally {
            jobs,
            oldest_due: ages.maybe_time("due")?,
            open_dead_letters: u64::try_from(letters).unwrap_or(0),
        })
    }

    async fn stream(&self, channel: &Channel) -> Result<StreamView, StoreError> {
        let found = sqlx::query(
            "SELECT replay_id, committed_at, last_event_at, owner, epoch, lease_until
             FROM stream WHERE channel = ?",
        )
        .bind(channel.as_str().to_owned())
        .fetch_optional(&self.readers)
        .await
        .or_unavailable()?;
        found
            .as_ref()
            .map_or_else(|| Ok(StreamView::default()), row::stream)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let answer = sqlx::query("SELECT 1")
            .fetch_one(&self.readers)
            .await
            .or_unavailable()?;
        answer.try_get::<i64, _>(0).or_unavailable().map(|_| ())
    }
}
