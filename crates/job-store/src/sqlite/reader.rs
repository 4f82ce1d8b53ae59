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
use sqlx::Row;

use crate::damage::{readable, set_aside_lately, set_aside_of};
use crate::error::OrUnavailable;
use crate::queue_stats::{
    ended, letters_of, live, marker_lost, open_letters, stuck, stuck_of, tally_of,
};
use crate::row::{self, Columns, kept_columns};
use crate::sqlite::{SqliteStore, calls, cursor_history, facts, orders, process_registry};
use crate::view::{self, finished_jobs, limit, view_columns};

#[async_trait]
impl OrderViews for SqliteStore {
    async fn jobs_of(&self, order: OrderId) -> Result<Vec<JobView>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            view_columns!(),
            " FROM job WHERE order_id = ? ORDER BY seq"
        ))
        .bind(order.as_str().to_owned())
        .fetch_all(&self.readers)
        .await
        .or_unavailable()?;
        readable(&rows, row::view)
    }

    async fn facts_of(&self, order: OrderId) -> Result<Vec<RecordedFact>, StoreError> {
        let mut connection = self.readers.acquire().await.or_unavailable()?;
        facts::shown(&mut connection, order).await
    }

    async fn calls_of(&self, order: OrderId) -> Result<Vec<RecordedCall>, StoreError> {
        calls::of_order(&self.readers, order).await
    }

    async fn marker_proof(&self) -> Result<Option<MarkerProof>, StoreError> {
        let evidence = sqlx::query(concat!("SELECT ", kept_columns!()))
            .fetch_one(&self.readers)
            .await
            .or_unavailable()?;
        row::marker_proof(&evidence)
    }

    async fn job(&self, job: &JobId) -> Result<Option<JobView>, StoreError> {
        let found = sqlx::query(concat!(
            "SELECT ",
            view_columns!(),
            " FROM job WHERE id = ?"
        ))
        .bind(job.as_str().to_owned())
        .fetch_optional(&self.readers)
        .await
        .or_unavailable()?;
        Ok(readable(found.as_slice(), row::view)?.pop())
    }

    async fn jobs(
        &self,
        stage: Option<JobStage>,
        after: Option<&JobId>,
        count: usize,
    ) -> Result<Vec<JobView>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            view_columns!(),
            " FROM job WHERE (?1 IS NULL OR state = ?1)
               AND (?2 IS NULL OR seq < (SELECT seq FROM job WHERE id = ?2))
             ORDER BY seq DESC LIMIT ?3"
        ))
        .bind(stage.map(JobStage::name))
        .bind(after.map(|job| job.as_str().to_owned()))
        .bind(limit(count))
        .fetch_all(&self.readers)
        .await
        .or_unavailable()?;
        readable(&rows, row::view)
    }

    async fn orders(&self, query: &OrderQuery) -> Result<Vec<OrderRow>, StoreError> {
        orders::list(&self.readers, query).await
    }
}

#[async_trait]
impl EventViews for SqliteStore {
    async fn open_dead_letters(&self) -> Result<u64, StoreError> {
        let found = sqlx::query(open_letters!())
            .fetch_one(&self.readers)
            .await
            .or_unavailable()?;
        letters_of(&found)
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

    async fn cursor_history(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<CursorHistoryEntry>, StoreError> {
        cursor_history::history(&self.readers, channel, limit).await
    }

    async fn dead_letters(
        &self,
        open_only: bool,
        after: Option<DeadLetterId>,
        count: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        let statement = match open_only {
            true => {
                "SELECT * FROM dead_letter WHERE seq < ? AND closed_at IS NULL
                     ORDER BY seq DESC LIMIT ?"
            }
            false => "SELECT * FROM dead_letter WHERE seq < ? ORDER BY seq DESC LIMIT ?",
        };
        let rows = sqlx::query(statement)
            .bind(after.map_or(i64::MAX, |after| after.0))
            .bind(limit(count))
            .fetch_all(&self.readers)
            .await
            .or_unavailable()?;
        readable(&rows, view::dead_letter)
    }

    async fn gaps(&self, count: usize) -> Result<Vec<GapView>, StoreError> {
        let rows = sqlx::query("SELECT * FROM gap ORDER BY seq DESC LIMIT ?")
            .bind(limit(count))
            .fetch_all(&self.readers)
            .await
            .or_unavailable()?;
        readable(&rows, view::gap)
    }
}

#[async_trait]
impl Statistics for SqliteStore {
    async fn queue_stats(&self) -> Result<QueueStats, StoreError> {
        let live = sqlx::query(live!())
            .bind(self.clock.now().as_millis())
            .fetch_one(&self.readers)
            .await
            .or_unavailable()?;
        let ended = sqlx::query(ended!())
            .fetch_all(&self.readers)
            .await
            .or_unavailable()?;
        tally_of(&live, &ended)
    }

    async fn unreadable_jobs(&self, window: Duration) -> Result<UnreadableJobs, StoreError> {
        let found = sqlx::query(set_aside_lately!())
            .bind((self.clock.now() - window).as_millis())
            .fetch_optional(&self.readers)
            .await
            .or_unavailable()?;
        set_aside_of(found.as_ref())
    }

    async fn stuck_orders(
        &self,
        live_for: Duration,
        idle_for: Duration,
    ) -> Result<StuckOrders, StoreError> {
        let now = self.clock.now();
        let found = sqlx::query(stuck!())
            .bind((now - live_for).as_millis())
            .bind((now - idle_for).as_millis())
            .fetch_optional(&self.readers)
            .await
            .or_unavailable()?;
        stuck_of(found.as_ref())
    }

    async fn marker_lost(&self) -> Result<Option<Timestamp>, StoreError> {
        let found = sqlx::query(marker_lost!())
            .fetch_optional(&self.readers)
            .await
            .or_unavailable()?;
        found.map(|found| found.time("at")).transpose()
    }

    async fn finished_jobs(
        &self,
        since: Timestamp,
        count: usize,
    ) -> Result<Vec<FinishedJob>, StoreError> {
        let rows = sqlx::query(finished_jobs!())
            .bind(since.as_millis())
            .bind(limit(count))
            .fetch_all(&self.readers)
            .await
            .or_unavailable()?;
        readable(&rows, view::outcome)
    }

    async fn attempt_stats(&self, window: Duration) -> Result<AttemptStats, StoreError> {
        process_registry::lately(self, window).await
    }

    async fn call_stats(&self, window: Duration) -> Result<CallStats, StoreError> {
        process_registry::call_stats(self, window).await
    }
}

#[async_trait]
impl StoreHealth for SqliteStore {
    async fn ping(&self) -> Result<(), StoreError> {
        let answer = sqlx::query("SELECT 1")
            .fetch_one(&self.readers)
            .await
            .or_unavailable()?;
        answer.try_get::<i64, _>(0).or_unavailable().map(|_| ())
    }
}

pub(crate) async fn explain_tally(store: &SqliteStore) -> Result<String, StoreError> {
    let mut lines = Vec::new();
    for text in [
        live!(),
        ended!(),
        stuck!(),
        marker_lost!(),
        concat!("SELECT ", kept_columns!()),
    ] {
        let explain = format!("EXPLAIN QUERY PLAN {text}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(explain))
            .fetch_all(&store.readers)
            .await
            .or_unavailable()?;
        for row in &rows {
            lines.push(row.text("detail")?);
        }
    }
    Ok(lines.join("\n"))
}
