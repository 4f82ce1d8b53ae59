//! Forgetting what nobody needs any more, a little at a time.

use std::time::Duration;

use domain::ports::{Pruned, SHORTEST_RETENTION, StoreError};
use domain::time::Timestamp;
use sqlx::SqliteConnection;

use crate::error::OrUnavailable;
use crate::record::unbinding;
use crate::row::Columns;
use crate::sqlite::SqliteStore;

/// The most rows that one commit forgets of each kind: writers wait for it.
const STEP: i64 = 500;

pub(crate) async fn prune(store: &SqliteStore, older_than: Duration) -> Result<Pruned, StoreError> {
    let age = older_than.max(SHORTEST_RETENTION);
    let mut all = Pruned::default();
    loop {
        let (step, more) = store
            .write_now(move |connection, now| Box::pin(one_step(connection, now - age)))
            .await?;
        all.jobs += step.jobs;
        all.events += step.events;
        all.facts += step.facts;
        if !more {
            return Ok(all);
        }
    }
}

/// Forgets up to [`STEP`] jobs, with the facts they leave unneeded, and as many event ids;
/// says whether there may be more.
async fn one_step(
    connection: &mut SqliteConnection,
    cutoff: Timestamp,
) -> Result<(Pruned, bool), StoreError> {
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
    .execute(connection)
    .await
    .or_unavailable()?
    .rows_affected();
    let full = STEP.unsigned_abs();
    Ok((step, step.jobs == full || step.events == full))
}
