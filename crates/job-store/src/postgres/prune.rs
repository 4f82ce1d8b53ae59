//! Pruning in small steps.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::StoreError;
use domain::time::Timestamp;
use operations::{AUDIT_RETENTION, MIN_RETENTION, Pruned, Pruner};
use sqlx::PgConnection;

use crate::error::OrUnavailable;
use crate::postgres::PostgresStore;
use crate::postgres::millis;
use crate::postgres::statement;
use crate::record::unbinding;
use crate::row::Columns;
use crate::store::Commit;

/// The most rows of each kind that one commit deletes.
const STEP: i64 = 1000;

#[async_trait]
impl Pruner for PostgresStore {
    async fn prune(&self, older_than: Duration) -> Result<Pruned, StoreError> {
        let age = millis(older_than.max(MIN_RETENTION));
        let mut all = Pruned::default();
        loop {
            let (step, more) = self
                .run(Commit::Relaxed, move |session| {
                    Box::pin(one_step(session.connection, session.now, age))
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
    connection: &mut PgConnection,
    now: Timestamp,
    age: i64,
) -> Result<(Pruned, bool), StoreError> {
    let rows = statement(
        "WITH old AS MATERIALIZED (
             SELECT seq FROM job WHERE ended_at <= $1 - $2
             ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         DELETE FROM job USING old WHERE job.seq = old.seq RETURNING job.order_id, job.id",
    )
    .bind(now.as_millis())
    .bind(age)
    .bind(STEP)
    .fetch_all(&mut *connection)
    .await
    .or_unavailable()?;
    let jobs: Vec<String> = rows
        .iter()
        .map(|row| row.text("id"))
        .collect::<Result<_, _>>()?;
    let orders: HashSet<String> = rows
        .iter()
        .map(|row| row.text("order_id"))
        .collect::<Result<_, _>>()?;
    let orders: &Vec<_> = &orders.into_iter().collect();
    statement("DELETE FROM outside_call WHERE order_id = ANY($1) AND job_id = ANY($2)")
        .bind(orders)
        .bind(&jobs)
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    let facts = statement(concat!(
        "DELETE FROM fact WHERE order_id = ANY($3)
           AND NOT EXISTS (SELECT 1 FROM job WHERE job.order_id = fact.order_id)
           AND NOT EXISTS (
               SELECT 1 FROM fact AS needed WHERE needed.order_id = fact.order_id
                 AND (needed.at > $1 - $2 OR needed.kind NOT IN ",
        unbinding!(),
        "))"
    ))
    .bind(now.as_millis())
    .bind(age)
    .bind(orders)
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    statement(
        "DELETE FROM orders WHERE order_id = ANY($1)
           AND NOT EXISTS (SELECT 1 FROM job WHERE job.order_id = orders.order_id)
           AND NOT EXISTS (SELECT 1 FROM fact WHERE fact.order_id = orders.order_id)",
    )
    .bind(orders)
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    let events = statement(
        "DELETE FROM inbox WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM inbox WHERE received_at <= $1 - $2
             ORDER BY received_at LIMIT $3 FOR UPDATE SKIP LOCKED))",
    )
    .bind(now.as_millis())
    .bind(age)
    .bind(STEP)
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    let step = Pruned {
        jobs: rows.len() as u64,
        events: events.rows_affected(),
        facts: facts.rows_affected(),
        dead_letters: forget(connection, now, age, LETTERS).await?,
        gaps: forget(connection, now, age, GAPS).await?,
        audit: forget(connection, now, age.max(millis(AUDIT_RETENTION)), AUDIT).await?,
    };
    let full = STEP.unsigned_abs();
    let more = [step.jobs, step.events, step.dead_letters, step.audit].contains(&full);
    if !more {
        statement(
            "WITH gone AS (DELETE FROM ended_jobs RETURNING state, jobs)
             INSERT INTO ended_jobs (state, jobs) SELECT state, sum(jobs) FROM gone GROUP BY state",
        )
        .execute(connection)
        .await
        .or_unavailable()?;
    }
    Ok((step, more))
}

const LETTERS: &str = "DELETE FROM dead_letter WHERE seq = ANY(ARRAY(
         SELECT seq FROM dead_letter WHERE closed_at <= $1 - $2
             ORDER BY closed_at LIMIT $3 FOR UPDATE SKIP LOCKED))";

const GAPS: &str = "DELETE FROM gap WHERE seq = ANY(ARRAY(
         SELECT seq FROM gap WHERE until_at <= $1 - $2 AND EXISTS (
             SELECT 1 FROM gap AS newer WHERE newer.channel = gap.channel AND newer.seq > gap.seq)
         ORDER BY seq LIMIT $3))";

const AUDIT: &str = "DELETE FROM audit WHERE seq = ANY(ARRAY(
         SELECT seq FROM audit WHERE at <= $1 - $2 ORDER BY seq LIMIT $3))";

/// Deletes up to [`STEP`] rows older than `age`.
async fn forget(
    connection: &mut PgConnection,
    now: Timestamp,
    age: i64,
    text: &'static str,
) -> Result<u64, StoreError> {
    let forgotten = statement(text)
        .bind(now.as_millis())
        .bind(age)
        .bind(STEP)
        .execute(connection)
        .await
        .or_unavailable()?;
    Ok(forgotten.rows_affected())
}
