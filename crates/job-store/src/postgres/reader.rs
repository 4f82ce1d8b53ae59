//! What people see.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::job::Ending;
use domain::key::{Channel, JobId};
use domain::ports::{
    Alert, Audit, CallTally, CursorMark, DeadLetterView, EndingView, GapView, JobReader, JobStage,
    JobView, OrderQuery, OrderRow, Outcomes, Pause, ProcessView, RecordedCall, RecordedFact,
    StoreError, StreamView, Tally,
};
use domain::time::Timestamp;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

use crate::error::OrUnavailable;
use crate::postgres::transaction::{Commit, statement};
use crate::postgres::{PostgresStore, calls, facts, household, marks, now, orders};
use crate::row::{self, Columns};
use crate::view::{self, endings, limit, view_columns};

#[async_trait]
impl JobReader for PostgresStore {
    async fn jobs_of(&self, order: OrderId) -> Result<Vec<JobView>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(async move {
                let (connection, _) = session.parts();
                let rows = statement(concat!(
                    "SELECT ",
                    view_columns!(),
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

    async fn calls_of(&self, order: OrderId) -> Result<Vec<RecordedCall>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(calls::of_order(session.connection, order))
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

    async fn cursor_history(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<CursorMark>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(marks::history(session.connection, channel, limit))
        })
        .await
    }

    async fn job(&self, job: &JobId) -> Result<Option<JobView>, StoreError> {
        const BY_ID: &str = concat!("SELECT ", view_columns!(), " FROM job WHERE id = $1");
        let rows = self.rows(|| statement(BY_ID).bind(job.as_str())).await?;
        rows.first().map(row::view).transpose()
    }

    async fn jobs(
        &self,
        stage: Option<JobStage>,
        after: Option<&JobId>,
        count: usize,
    ) -> Result<Vec<JobView>, StoreError> {
        let rows = self.rows(|| {
            statement(concat!(
                "SELECT ",
                view_columns!(),
                " FROM job WHERE ($1::text IS NULL OR state = $1)
                   AND ($2::text IS NULL OR seq < (SELECT seq FROM job WHERE id = $2))
                 ORDER BY seq DESC LIMIT $3"
            ))
            .bind(stage.map(JobStage::name))
            .bind(after.map(JobId::as_str))
            .bind(limit(count))
        });
        rows.await?.iter().map(row::view).collect()
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Vec<OrderRow>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(orders::list(session.connection, query))
        })
        .await
    }

    async fn dead_letters(
        &self,
        open_only: bool,
        after: Option<i64>,
        count: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        let text = match open_only {
            true => {
                "SELECT * FROM dead_letter WHERE seq < $1 AND closed_at IS NULL
                 ORDER BY seq DESC LIMIT $2"
            }
            false => "SELECT * FROM dead_letter WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
        };
        let after = after.unwrap_or(i64::MAX);
        let rows = self.rows(|| statement(text).bind(after).bind(limit(count)));
        rows.await?.iter().map(view::letter).collect()
    }

    async fn gaps(&self, count: usize) -> Result<Vec<GapView>, StoreError> {
        let text = "SELECT * FROM gap ORDER BY seq DESC LIMIT $1";
        let rows = self.rows(|| statement(text).bind(limit(count))).await?;
        rows.iter().map(view::gap).collect()
    }

    async fn audit(&self, count: usize) -> Result<Vec<Audit>, StoreError> {
        let text = "SELECT * FROM audit ORDER BY seq DESC LIMIT $1";
        let rows = self.rows(|| statement(text).bind(limit(count))).await?;
        rows.iter().map(view::audit).collect()
    }

    async fn endings(&self, since: Timestamp, count: usize) -> Result<Vec<EndingView>, StoreError> {
        let rows = self.rows(|| {
            statement(endings!())
                .bind(since.as_millis())
                .bind(limit(count))
        });
        rows.await?.iter().map(view::ending).collect()
    }

    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        let rows = self.rows(|| statement("SELECT * FROM pause ORDER BY what"));
        rows.await?.iter().map(view::pause).collect()
    }

    async fn outcomes(&self, window: Duration) -> Result<Outcomes, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(household::lately(session.connection, session.shift, window))
        })
        .await
    }

    async fn whmcs_calls(&self, window: Duration) -> Result<CallTally, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(household::whmcs_calls(
                session.connection,
                session.shift,
                window,
            ))
        })
        .await
    }

    async fn processes(&self) -> Result<Vec<ProcessView>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(household::processes(session.connection, session.shift))
        })
        .await
    }

    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            let (connection, _) = session.parts();
            Box::pin(household::alerts(connection))
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

type Asked = Query<'static, Postgres, PgArguments>;

impl PostgresStore {
    /// What a question finds.
    async fn rows(&self, ask: impl Fn() -> Asked + Send + Sync) -> Result<Vec<PgRow>, StoreError> {
        let ask = &ask;
        self.run(Commit::Relaxed, move |session| {
            let (connection, _) = session.parts();
            let asked = ask();
            Box::pin(async move { asked.fetch_all(connection).await.or_unavailable() })
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
