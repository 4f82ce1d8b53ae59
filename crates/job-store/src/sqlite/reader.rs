//! What people see.

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::Ending;
use domain::key::{Channel, Owner};
use domain::ports::{Epoch, JobReader, JobView, RecordedFact, StoreError, StreamView, Tally};
use sqlx::Row;

use crate::sqlite::intake::cursor_of;
use crate::sqlite::writer::OrUnavailable;
use crate::sqlite::{SqliteStore, row};

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
        rows.iter()
            .map(|found| {
                let state: &str = row::get(found, "state")?;
                let ending = row::ending(state);
                Ok(JobView {
                    job: row::job(found)?,
                    state: match ending {
                        Some(ending) => ending.name(),
                        None if state == "leased" => "leased",
                        None => "queued",
                    },
                    ending,
                    enqueued_at: row::time(found, "enqueued_at")?,
                    started_at: row::maybe_time(found, "started_at")?,
                    ended_at: row::maybe_time(found, "ended_at")?,
                })
            })
            .collect()
    }

    async fn facts_of(&self, order: OrderId) -> Result<Vec<RecordedFact>, StoreError> {
        let mut connection = self.readers.acquire().await.or_unavailable()?;
        row::facts(&mut connection, order).await
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
            let state: &str = row::get(found, "state")?;
            let count: i64 = row::get(found, "jobs")?;
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
        let letters: i64 = row::get(&ages, "letters")?;
        Ok(Tally {
            jobs,
            oldest_due: row::maybe_time(&ages, "due")?,
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
        let Some(found) = found else {
            return Ok(StreamView::default());
        };
        let owner = row::get::<Option<String>>(&found, "owner")?.and_then(Owner::new);
        let epoch = Epoch(row::get(&found, "epoch")?);
        let until = row::time(&found, "lease_until")?;
        Ok(StreamView {
            cursor: cursor_of(&found)?,
            leader: owner.map(|owner| (owner, epoch, until)),
            last_event_at: row::maybe_time(&found, "last_event_at")?,
        })
    }

    async fn ping(&self) -> Result<(), StoreError> {
        let answer = sqlx::query("SELECT 1")
            .fetch_one(&self.readers)
            .await
            .or_unavailable()?;
        answer.try_get::<i64, _>(0).or_unavailable().map(|_| ())
    }
}
