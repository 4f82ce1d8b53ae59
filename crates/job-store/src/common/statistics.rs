//! Statistics for metrics and alert rules, and the check that the store answers.

use std::time::Duration;

use async_trait::async_trait;
use domain::ports::StoreError;
use domain::time::Timestamp;
use operations::{
    AttemptStats, CallStats, FinishedJob, QueueStats, Statistics, StoreHealth, StuckOrders,
    UnreadableJobs,
};

use super::{Row, Store, statement};
use crate::damage::{readable, set_aside_lately, set_aside_of};
use crate::error::corrupt;
use crate::process_registry::{self, call_stats, outcomes};
use crate::queue_stats::{ended, live, marker_lost, stuck, stuck_of, tally_of};
use crate::row::Columns;
use crate::view::{self, finished_jobs, limit};

/// The row of a query that always has one.
fn only<'r>(rows: &'r [Row], what: &'static str) -> Result<&'r Row, StoreError> {
    rows.first().ok_or_else(|| corrupt(what, "no row"))
}

#[async_trait]
impl Statistics for Store {
    async fn queue_stats(&self) -> Result<QueueStats, StoreError> {
        let live = self.rows(|now| statement(live!()).bind(now.as_millis()));
        let live = live.await?;
        let ended = self.rows(|_| statement(ended!())).await?;
        tally_of(only(&live, "live jobs")?, &ended)
    }

    async fn unreadable_jobs(&self, window: Duration) -> Result<UnreadableJobs, StoreError> {
        let rows = self.rows(|now| statement(set_aside_lately!()).bind((now - window).as_millis()));
        set_aside_of(rows.await?.first())
    }

    async fn stuck_orders(
        &self,
        live_for: Duration,
        idle_for: Duration,
    ) -> Result<StuckOrders, StoreError> {
        let rows = self.rows(|now| {
            statement(stuck!())
                .bind((now - live_for).as_millis())
                .bind((now - idle_for).as_millis())
        });
        stuck_of(rows.await?.first())
    }

    async fn marker_lost(&self) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.rows(|_| statement(marker_lost!())).await?;
        rows.first().map(|found| found.time("at")).transpose()
    }

    async fn finished_jobs(
        &self,
        since: Timestamp,
        count: usize,
    ) -> Result<Vec<FinishedJob>, StoreError> {
        let rows = self.rows(|_| {
            statement(finished_jobs!())
                .bind(since.as_millis())
                .bind(limit(count))
        });
        readable(&rows.await?, view::outcome)
    }

    async fn attempt_stats(&self, window: Duration) -> Result<AttemptStats, StoreError> {
        let counted = |now: Timestamp| statement(outcomes!()).bind((now - window).as_millis());
        let (rows, now) = self.rows_now(counted).await?;
        process_registry::outcomes_of(only(&rows, "attempts")?, now)
    }

    async fn call_stats(&self, window: Duration) -> Result<CallStats, StoreError> {
        let rows = self.rows(|now| {
            statement(call_stats!())
                .bind((now - window).as_millis())
                .bind(limit(CallStats::COUNTED))
        });
        process_registry::call_tally(only(&rows.await?, "calls")?)
    }
}

#[async_trait]
impl StoreHealth for Store {
    async fn ping(&self) -> Result<(), StoreError> {
        // Fails when the schema is not ours.
        self.rows(|_| statement("SELECT epoch FROM stream LIMIT 1"))
            .await
            .map(|_| ())
    }
}
