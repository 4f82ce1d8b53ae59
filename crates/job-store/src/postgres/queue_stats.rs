//! Queue statistics.

use std::time::Duration;

use domain::ports::StoreError;
use operations::{QueueStats, StuckOrders, UnreadableJobs};
use sqlx::PgConnection;

use crate::damage::{set_aside_lately, set_aside_of};
use crate::error::OrUnavailable;
use crate::postgres::PostgresStore;
use crate::postgres::process_registry::now_of;
use crate::postgres::transaction::{Commit, statement};
use crate::queue_stats::{ended, live, stuck, stuck_of, tally_of};
use crate::row::Columns;

pub(crate) async fn all(
    connection: &mut PgConnection,
    shift: i64,
) -> Result<QueueStats, StoreError> {
    let now = now_of(connection, shift).await?;
    let live = statement(live!())
        .bind(now.as_millis())
        .fetch_one(&mut *connection)
        .await
        .or_unavailable()?;
    let ended = statement(ended!())
        .fetch_all(connection)
        .await
        .or_unavailable()?;
    tally_of(&live, &ended)
}

pub(crate) async fn set_aside(
    connection: &mut PgConnection,
    shift: i64,
    window: Duration,
) -> Result<UnreadableJobs, StoreError> {
    let since = now_of(connection, shift).await? - window;
    let found = statement(set_aside_lately!())
        .bind(since.as_millis())
        .fetch_optional(connection)
        .await
        .or_unavailable()?;
    set_aside_of(found.as_ref())
}

pub(crate) async fn stuck(
    connection: &mut PgConnection,
    shift: i64,
    live_for: Duration,
    idle_for: Duration,
) -> Result<StuckOrders, StoreError> {
    let now = now_of(connection, shift).await?;
    let found = statement(stuck!())
        .bind((now - live_for).as_millis())
        .bind((now - idle_for).as_millis())
        .fetch_optional(connection)
        .await
        .or_unavailable()?;
    stuck_of(found.as_ref())
}

/// EXPLAIN of the frequent counts.
pub(crate) async fn explain(store: &PostgresStore) -> Result<String, StoreError> {
    store
        .run(Commit::Relaxed, |session| {
            Box::pin(async move {
                let (connection, _) = session.parts();
                let mut lines = Vec::new();
                for text in [live!(), ended!(), stuck!()] {
                    let explain = format!("EXPLAIN {text}");
                    let mut query = sqlx::query(sqlx::AssertSqlSafe(explain)).persistent(false);
                    for _ in 0..text.matches("$1").count() + text.matches("$2").count() {
                        query = query.bind(0_i64);
                    }
                    let rows = query.fetch_all(&mut *connection).await.or_unavailable()?;
                    for row in &rows {
                        lines.push(row.text("QUERY PLAN")?);
                    }
                }
                Ok(lines.join("\n"))
            })
        })
        .await
}
