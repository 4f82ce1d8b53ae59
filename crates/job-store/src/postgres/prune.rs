//! Forgetting what nobody needs any more, a little at a time.

use std::collections::HashSet;
use std::time::Duration;

use domain::ports::{Pruned, SHORTEST_RETENTION, StoreError};
use sqlx::PgConnection;

use crate::error::OrUnavailable;
use crate::postgres::intake::millis;
use crate::postgres::transaction::{Commit, statement};
use crate::postgres::{PostgresStore, now};
use crate::record::unbinding;
use crate::row::Columns;

/// The most rows that one commit forgets of each kind.
const STEP: i64 = 1000;

pub(crate) async fn prune(
    store: &PostgresStore,
    older_than: Duration,
) -> Result<Pruned, StoreError> {
    let age = millis(older_than.max(SHORTEST_RETENTION));
    let mut all = Pruned::default();
    loop {
        let (step, more) = store
            .run(Commit::Relaxed, move |session| {
                Box::pin(one_step(session.connection, session.shift, age))
            })
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
    connection: &mut PgConnection,
    shift: i64,
    age: i64,
) -> Result<(Pruned, bool), StoreError> {
    let rows = statement(concat!(
        "WITH old AS MATERIALIZED (
             SELECT seq FROM job WHERE ended_at <= ",
        now!(),
        " - $2 ORDER BY ended_at LIMIT $3 FOR UPDATE SKIP LOCKED)
         DELETE FROM job USING old WHERE job.seq = old.seq RETURNING job.order_id, job.id"
    ))
    .bind(shift)
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
                 AND (needed.at > ",
        now!(),
        " - $2 OR needed.kind NOT IN ",
        unbinding!(),
        "))"
    ))
    .bind(shift)
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
    let events = statement(concat!(
        "DELETE FROM inbox WHERE ctid = ANY(ARRAY(
             SELECT ctid FROM inbox WHERE received_at <= ",
        now!(),
        " - $2 ORDER BY received_at LIMIT $3 FOR UPDATE SKIP LOCKED))"
    ))
    .bind(shift)
    .bind(age)
    .bind(STEP)
    .execute(connection)
    .await
    .or_unavailable()?;
    let step = Pruned {
        jobs: rows.len() as u64,
        events: events.rows_affected(),
        facts: facts.rows_affected(),
    };
    let full = STEP.unsigned_abs();
    Ok((step, step.jobs == full || step.events == full))
}
