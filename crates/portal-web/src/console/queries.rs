//! Store queries that screens and the API share.

use std::time::Duration;

use domain::failure::Code;
use domain::id::OrderId;
use domain::job::JobOutcome;
use domain::ports::StoreError;
use domain::time::Timestamp;
use error_chain::chain;
use operations::{Alert, JobStage, OrderQuery, OrderRow, Pause, QueueStats, StreamView, Wait};
use serde::Deserialize;

use super::charts::Charts;
use super::entry::Entry;
use super::state::Console;
use super::stats::{Stats, stream_status};
use super::timeline::timeline;
use crate::problem::Problem;
use crate::time;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Finished jobs that statistics are computed from.
const MAX_FINISHED_JOBS: usize = 5000;
/// Rows of one page of a list.
pub(super) const PAGE: usize = 50;
/// Pages that are read in search of unacknowledged failed orders.
const MAX_PAGES: usize = 100;

pub(super) fn store_error(error: StoreError) -> Problem {
    tracing::warn!(error = %chain(&error), "store query failed");
    Problem::unavailable(error.to_string())
}

/// Content of the overview.
pub(super) struct Overview {
    pub(super) sentence: String,
    pub(super) stream: StreamView,
    pub(super) hours_left: Option<u64>,
    pub(super) queue: QueueStats,
    pub(super) stats: Stats,
    pub(super) charts: Charts,
    pub(super) pauses: Vec<Pause>,
    pub(super) attention: Vec<OrderRow>,
    pub(super) now: Timestamp,
}

impl Overview {
    pub(super) fn success_rate(&self) -> String {
        let (succeeded, failed) = self.stats.recent;
        match self.stats.failure_rate() {
            None => "no attempts".to_owned(),
            Some(_) => format!("{succeeded} of {} succeeded", succeeded + failed),
        }
    }

    pub(super) fn is_failure_rate_high(&self) -> bool {
        self.stats.failure_rate().is_some_and(|rate| rate > 10)
    }

    pub(super) fn lag(&self) -> String {
        let cursor = self.stream.cursor.as_ref();
        cursor.map_or_else(
            || "no cursor yet".to_owned(),
            |cursor| time::span(self.now.since(cursor.committed_at)),
        )
    }
}

impl Console {
    pub(super) async fn overview(&self) -> Result<Overview, Problem> {
        let now = self.clock.now();
        let finished_jobs = self
            .statistics
            .finished_jobs(now - DAY, MAX_FINISHED_JOBS)
            .await
            .map_err(store_error)?;
        let stream = self
            .events
            .stream(&self.channel)
            .await
            .map_err(store_error)?;
        let queue = self.statistics.queue_stats().await.map_err(store_error)?;
        let attention = self.failed_orders(None, 100).await?;
        let (status, hours_left) = stream_status(&stream, now);
        let open = attention.len() as u64 + queue.open_dead_letters;
        let sentence = match open {
            0 => format!("{status} Nothing needs attention."),
            1 => format!("{status} One item needs attention."),
            many => format!("{status} {many} items need attention."),
        };
        Ok(Overview {
            sentence,
            hours_left,
            stream,
            queue,
            stats: Stats::of(&finished_jobs, now),
            charts: Charts::of(&finished_jobs, now),
            pauses: self.commands.pauses().await.map_err(store_error)?,
            attention,
            now,
        })
    }

    /// Unacknowledged failed orders, of one cause or of any.
    pub(super) async fn failed_orders(
        &self,
        code: Option<Code>,
        limit: usize,
    ) -> Result<Vec<OrderRow>, Problem> {
        let mut query = OrderQuery {
            stage: Some(JobStage::Ended(JobOutcome::Failed)),
            code,
            limit,
            ..OrderQuery::default()
        };
        let mut open = Vec::new();
        // Acknowledged orders must not push older unacknowledged ones off the list.
        for _ in 0..MAX_PAGES {
            let rows = self.orders.orders(&query).await.map_err(store_error)?;
            query.after = rows
                .last()
                .filter(|_| rows.len() == limit)
                .map(|row| (row.updated_at, row.order));
            open.extend(rows.into_iter().filter(|row| row.handled.is_none()));
            if query.after.is_none() || open.len() >= limit {
                break;
            }
        }
        open.truncate(limit);
        Ok(open)
    }

    /// One order, its timeline and what it waits for.
    pub(super) async fn order_timeline(
        &self,
        order: OrderId,
    ) -> Result<(Option<OrderRow>, Vec<Entry>, Option<Wait>), Problem> {
        let query = OrderQuery {
            text: Some(order.to_string()),
            limit: 1,
            ..OrderQuery::default()
        };
        let row = self
            .orders
            .orders(&query)
            .await
            .map_err(store_error)?
            .into_iter()
            .next();
        let jobs = self.orders.jobs_of(order).await.map_err(store_error)?;
        let facts = self.orders.facts_of(order).await.map_err(store_error)?;
        let calls = self.orders.calls_of(order).await.map_err(store_error)?;
        let wait = Wait::of(&jobs, &facts);
        Ok((row, timeline(&jobs, &facts, &calls), wait))
    }

    /// Firing alerts, the most severe first.
    pub(super) async fn firing_alerts(&self) -> Result<Vec<Alert>, Problem> {
        let mut alerts = self.alerts.alerts().await.map_err(store_error)?;
        alerts.retain(Alert::is_firing);
        alerts.sort_by_key(|alert| (alert.severity != "page", alert.firing_since));
        Ok(alerts)
    }
}

/// Search and pagination of an order list.
#[derive(Deserialize, Default)]
pub(super) struct OrderFilter {
    #[serde(default)]
    pub(super) q: String,
    #[serde(default)]
    pub(super) stage: String,
    #[serde(default)]
    after: String,
}

impl OrderFilter {
    pub(super) fn query(&self) -> OrderQuery {
        let after = self.after.split_once('.').and_then(|(at, order)| {
            let at = Timestamp::from_millis(at.parse().ok()?);
            Some((at, OrderId::parse(order).ok()?))
        });
        OrderQuery {
            stage: JobStage::parse(&self.stage),
            text: Some(self.q.trim().to_owned()).filter(|text| !text.is_empty()),
            code: None,
            after,
            limit: PAGE,
        }
    }
}

/// The parameter `after` of the next page.
pub(super) fn next_page(rows: &[OrderRow]) -> Option<String> {
    let last = rows.last().filter(|_| rows.len() == PAGE)?;
    Some(format!("{}.{}", last.updated_at.as_millis(), last.order))
}
