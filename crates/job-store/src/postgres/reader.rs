//! Read-only views for the console, the CLI and the alert rules.

use std::time::Duration;

use async_trait::async_trait;
use domain::id::OrderId;
use domain::key::{Channel, DeadLetterId, JobId};
use domain::order::MarkerProof;
use domain::ports::{DeadLetterView, StoreError};
use domain::time::Timestamp;
use operations::{
    AttemptStats, CallStats, CursorHistoryEntry, EventViews, FinishedJob, GapView, JobStage,
    JobView, OrderQuery, OrderRow, OrderViews, QueueStats, RecordedCall, RecordedFact, Statistics,
    StoreHealth, StreamView, StuckOrders, UnreadableJobs,
};
use sqlx::Postgres;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;

use crate::damage::readable;
use crate::error::OrUnavailable;
use crate::postgres::transaction::{Commit, statement};
use crate::postgres::{
    PostgresStore, calls, cursor_history, facts, orders, process_registry, queue_stats,
};
use crate::queue_stats::{letters_of, marker_lost, open_letters};
use crate::row::{self, Columns, kept_columns};
use crate::view::{self, finished_jobs, limit, view_columns};

#[async_trait]
impl OrderViews for PostgresStore {
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
                readable(&rows, row::view)
            })
        })
        .await
    }

    async fn facts_of(&self, order: OrderId) -> Result<Vec<RecordedFact>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(facts::shown(session.connection, order))
        })
        .await
    }

    async fn calls_of(&self, order: OrderId) -> Result<Vec<RecordedCall>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(calls::of_order(session.connection, order))
        })
        .await
    }

    async fn marker_proof(&self) -> Result<Option<MarkerProof>, StoreError> {
        const EVIDENCE: &str = concat!("SELECT ", kept_columns!());
        let rows = self.rows(|| statement(EVIDENCE)).await?;
        rows.first().map_or(Ok(None), row::marker_proof)
    }

    async fn job(&self, job: &JobId) -> Result<Option<JobView>, StoreError> {
        const BY_ID: &str = concat!("SELECT ", view_columns!(), " FROM job WHERE id = $1");
        let rows = self.rows(|| statement(BY_ID).bind(job.as_str())).await?;
        Ok(readable(&rows, row::view)?.pop())
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
        readable(&rows.await?, row::view)
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Vec<OrderRow>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(orders::list(session.connection, query))
        })
        .await
    }
}

#[async_trait]
impl EventViews for PostgresStore {
    async fn open_dead_letters(&self) -> Result<u64, StoreError> {
        let rows = self.rows(|| statement(open_letters!())).await?;
        rows.first().map_or(Ok(0), letters_of)
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
    ) -> Result<Vec<CursorHistoryEntry>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(cursor_history::history(session.connection, channel, limit))
        })
        .await
    }

    async fn dead_letters(
        &self,
        open_only: bool,
        after: Option<DeadLetterId>,
        count: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        let text = match open_only {
            true => {
                "SELECT * FROM dead_letter WHERE seq < $1 AND closed_at IS NULL
                 ORDER BY seq DESC LIMIT $2"
            }
            false => "SELECT * FROM dead_letter WHERE seq < $1 ORDER BY seq DESC LIMIT $2",
        };
        let after = after.map_or(i64::MAX, |after| after.0);
        let rows = self.rows(|| statement(text).bind(after).bind(limit(count)));
        readable(&rows.await?, view::dead_letter)
    }

    async fn gaps(&self, count: usize) -> Result<Vec<GapView>, StoreError> {
        let text = "SELECT * FROM gap ORDER BY seq DESC LIMIT $1";
        let rows = self.rows(|| statement(text).bind(limit(count))).await?;
        readable(&rows, view::gap)
    }
}

#[async_trait]
impl Statistics for PostgresStore {
    async fn queue_stats(&self) -> Result<QueueStats, StoreError> {
        self.run(Commit::Relaxed, |session| {
            Box::pin(queue_stats::all(session.connection, session.shift))
        })
        .await
    }

    async fn unreadable_jobs(&self, window: Duration) -> Result<UnreadableJobs, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(queue_stats::set_aside(
                session.connection,
                session.shift,
                window,
            ))
        })
        .await
    }

    async fn stuck_orders(
        &self,
        live_for: Duration,
        idle_for: Duration,
    ) -> Result<StuckOrders, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            let (connection, shift) = session.parts();
            Box::pin(queue_stats::stuck(connection, shift, live_for, idle_for))
        })
        .await
    }

    async fn marker_lost(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.rows(|| statement(marker_lost!())).await?;
        rows.first().map(|found| found.time("at")).transpose()
    }

    async fn finished_jobs(
        &self,
        since: Timestamp,
        count: usize,
    ) -> Result<Vec<FinishedJob>, StoreError> {
        let rows = self.rows(|| {
            statement(finished_jobs!())
                .bind(since.as_millis())
                .bind(limit(count))
        });
        readable(&rows.await?, view::outcome)
    }

    async fn attempt_stats(&self, window: Duration) -> Result<AttemptStats, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(process_registry::lately(
                session.connection,
                session.shift,
                window,
            ))
        })
        .await
    }

    async fn call_stats(&self, window: Duration) -> Result<CallStats, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(process_registry::call_stats(
                session.connection,
                session.shift,
                window,
            ))
        })
        .await
    }
}

#[async_trait]
impl StoreHealth for PostgresStore {
    async fn ping(&self) -> Result<(), StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(async move {
                let (connection, _) = session.parts();
                // Fails when the schema is not ours.
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
    /// The rows of a query.
    pub(super) async fn rows(
        &self,
        ask: impl Fn() -> Asked + Send + Sync,
    ) -> Result<Vec<PgRow>, StoreError> {
        let ask = &ask;
        self.run(Commit::Relaxed, move |session| {
            let (connection, _) = session.parts();
            let asked = ask();
            Box::pin(async move { asked.fetch_all(connection).await.or_unavailable() })
        })
        .await
    }
}
