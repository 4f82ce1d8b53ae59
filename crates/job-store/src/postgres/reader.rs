//! What people see.

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::Ending;
use domain::key::Channel;
use domain::ports::{JobReader, JobView, RecordedFact, StoreError, StreamView, Tally};
use sqlx::PgConnection;

use crate::error::OrUnavailable;
use crate::postgres::transaction::{Commit, statement};
use crate::postgres::{PostgresStore, facts, now};
use crate::row::{self, Columns, job_columns};

#[async_trait]
impl JobReader for PostgresStore {
    async fn jobs_of(&self, order: OrderId) -> Result<Vec<JobView>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(async move {
                let (connection, _) = session.parts();
                let rows = statement(concat!(
                    "SELECT state, started_at, ended_at, ",
                    job_columns!(),
                    " FROM job WHERE order_id = $1 ORDER BY seq"
                ))
                .bind(order.as_str())
                .fetch_all(connection)
                .await
                .or_unavailable()?;
                rows.iter().map(row::view).collect()
            })
        })
        .await
    }

    async fn facts_of(&self, order: OrderId) -> Result<Vec<RecordedFact>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(async move {
                let (connection, _) = session.parts();
                let facts = facts::of_orders(connection, &[order.as_str()]).await?;
                Ok(facts.into_iter().map(|(_, recorded)| recorded).collect())
            })
        })
        .await
    }

    async fn tally(&self) -> Result<Tally, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(tally(session.connection, session.shift))
        })
        .await
    }

    async fn stream(&self, channel: &Channel) -> Result<StreamView, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(async move {
                let (connection, _) = session.parts();
                let found = statement(
                    "SELECT replay_id, committed_at, last_event_at, owner, epoch, lease_until
                     FROM stream WHERE channel = $1",
                )
                .bind(channel.as_str())
                .fetch_optional(connection)
                .await
                .or_unavailable()?;
                found
                    .as_ref()
                    .map_or_else(|| Ok(StreamView::default()), row::stream)
            })
        })
        .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(async move {
                let (connection, _) = session.parts();
                // Fails where the schema is not ours.
                statement("SELECT epoch FROM stream LIMIT 1")
                    .fetch_optional(connection)
                    .await
                    .or_unavailable()
                    .map(|_| ())
            })
        })
        .await
    }
}

async fn tally(connection: &mut PgConnection, shift: i64) -> Result<Tally, StoreError> {
    let rows = statement("SELECT state, count(*) AS jobs FROM job GROUP BY state")
        .fetch_all(&mut *connection)
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
    let ages = statement(concat!(
        "SELECT (SELECT min(due_at) FROM job WHERE state = 'queued' AND due_at <= ",
        now!(),
        ") AS due,
             (SELECT count(*) FROM dead_letter WHERE closed_at IS NULL) AS letters"
    ))
    .bind(shift)
    .fetch_one(connection)
    .await
    .or_unavailable()?;
    Ok(Tally {
        jobs,
        oldest_due: ages.maybe_time("due")?,
        open_dead_letters: u64::try_from(ages.int("letters")?).unwrap_or(0),
    })
}
