//! Pruning in small steps.

use std::time::Duration;

use async_trait::async_trait;
use domain::ports::StoreError;
use domain::time::Timestamp;
use operations::{AUDIT_RETENTION, MIN_RETENTION, Pruned, Pruner};
use sqlx::SqliteConnection;

use crate::error::OrUnavailable;
use crate::record::unbinding;
use crate::row::Columns;
use crate::sqlite::SqliteStore;
use crate::store::Commit;

/// The most rows of each kind that one commit deletes, since writers wait for it.
const STEP: i64 = 500;

#[async_trait]
impl Pruner for SqliteStore {
    async fn prune(&self, older_than: Duration) -> Result<Pruned, StoreError> {
        let age = older_than.max(MIN_RETENTION);
        let mut all = Pruned::default();
        loop {
            let (step, more) = self
                .write_now(Commit::Relaxed, move |connection, now| {
                    Box::pin(one_step(connection, now, age))
                })
                .await?;
            all += step;
            if !more {
                return Ok(all);
            }
        }
    }
}

/// Deletes up to [`STEP`] jobs with the facts nobody needs afterwards, and as many event ids;
/// returns whether there may be more.
async fn one_step(
    connection: &mut SqliteConnection,
    now: Timestamp,
    age: Duration,
) -> Result<(Pruned, bool), StoreError> {
    let cutoff = now - age;
    let rows = sqlx::query(
        "DELETE FROM job WHERE seq IN (
             SELECT seq FROM job WHERE ended_at <= ?1 ORDER BY ended_at LIMIT ?2)
         RETURNING order_id, id",
    )
    .bind(cutoff.as_millis())
    .bind(STEP)
    .fetch_all(&mut *connection)
    .await
    .or_unavailable()?;
    let mut step = Pruned {
        jobs: rows.len() as u64,
        ..Pruned::default()
    };
    for row in &rows {
        sqlx::query("DELETE FROM outside_call WHERE order_id = ? AND job_id = ?")
            .bind(row.text("order_id")?)
            .bind(row.text("id")?)
            .execute(&mut *connection)
            .await
            .or_unavailable()?;
        let facts = sqlx::query(concat!(
            "DELETE FROM fact WHERE order_id = ?1
               AND NOT EXISTS (SELECT 1 FROM job WHERE job.order_id = ?1)
               AND NOT EXISTS (
                   SELECT 1 FROM fact AS needed WHERE needed.order_id = ?1
                     AND (needed.at > ?2 OR needed.kind NOT IN ",
            unbinding!(),
            "))"
        ))
        .bind(row.text("order_id")?)
        .bind(cutoff.as_millis())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
        step.facts += facts.rows_affected();
        sqlx::query(
            "DELETE FROM orders WHERE order_id = ?1
               AND NOT EXISTS (SELECT 1 FROM job WHERE job.order_id = ?1)
               AND NOT EXISTS (SELECT 1 FROM fact WHERE fact.order_id = ?1)",
        )
        .bind(row.text("order_id")?)
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    }
    step.events = sqlx::query(
        "DELETE FROM inbox WHERE (channel, event_id) IN (
             SELECT channel, event_id FROM inbox WHERE received_at <= ?1
             ORDER BY received_at LIMIT ?2)",
    )
    .bind(cutoff.as_millis())
    .bind(STEP)
    .execute(&mut *connection)
    .await
    .or_unavailable()?
    .rows_affected();
    step.dead_letters = forget(connection, cutoff, LETTERS).await?;
    step.gaps = forget(connection, cutoff, GAPS).await?;
    step.audit = forget(connection, now - age.max(AUDIT_RETENTION), AUDIT).await?;
    let full = STEP.unsigned_abs();
    let more = [step.jobs, step.events, step.dead_letters, step.audit].contains(&full);
    Ok((step, more))
}

const LETTERS: &str = "DELETE FROM dead_letter WHERE seq IN (
    SELECT seq FROM dead_letter WHERE closed_at <= ?1 ORDER BY closed_at LIMIT ?2)";

const GAPS: &str = "DELETE FROM gap WHERE seq IN (
    SELECT seq FROM gap WHERE until_at <= ?1 AND EXISTS (
        SELECT 1 FROM gap AS newer WHERE newer.channel = gap.channel AND newer.seq > gap.seq)
    ORDER BY seq LIMIT ?2)";

const AUDIT: &str = "DELETE FROM audit WHERE seq IN (
    SELECT seq FROM audit WHERE at <= ?1 ORDER BY seq LIMIT ?2)";

/// Deletes up to [`STEP`] rows as old as `cutoff`.
async fn forget(
    connection: &mut SqliteConnection,
    cutoff: Timestamp,
    text: &'static str,
) -> Result<u64, StoreError> {
    let forgotten = sqlx::query(text)
        .bind(cutoff.as_millis())
        .bind(STEP)
        .execute(connection)
        .await
        .or_unavailable()?;
    Ok(forgotten.rows_affected())
}
