//! Claims jobs in one statement and loads what a worker needs with them.

use std::collections::HashMap;
use std::time::Duration;

use domain::job::LeaseToken;
use domain::order::Fact;
use domain::ports::{Claimed, StoreError};
use domain::time::Timestamp;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::damage::{Damaged, set_aside_job};
use crate::error::OrUnavailable;
use crate::postgres::facts;
use crate::postgres::millis;
use crate::postgres::statement;
use crate::postgres::{PostgresStore, now, orders};
use crate::row::{self, Columns, job_columns, kept_columns};
use crate::store::Commit;

/// Claims due jobs: queued ones whose time has come, or leased ones whose lease ran out; never
/// a job of an order that has an older live job.
///
/// The oldest live job of an order is looked up row by row, by index, in the sequence of
/// `due_at`, and the walk stops at the limit: however much is queued or finished, a claim
/// reads about as many rows as it takes. Rows locked by another claim are skipped; a
/// row that changed meanwhile is checked again in its newest version.
const CLAIM: &str = concat!(
    "WITH expired AS MATERIALIZED (
         SELECT seq, due_at FROM job
         WHERE state = 'leased' AND lease_until <= ",
    now!(),
    "
           AND NOT EXISTS (SELECT 1 FROM pause WHERE what = 'worker')
         ORDER BY due_at, seq LIMIT $2 FOR UPDATE SKIP LOCKED
     ), queued AS MATERIALIZED (
         SELECT seq, due_at FROM job
         WHERE state = 'queued' AND due_at <= ",
    now!(),
    "
           AND NOT EXISTS (SELECT 1 FROM pause WHERE what = 'worker')
           AND seq = (
               SELECT min(live.seq) FROM job AS live
               WHERE live.order_id = job.order_id AND live.state IN ('queued', 'leased'))
         ORDER BY due_at, seq LIMIT $2 FOR UPDATE SKIP LOCKED
     ), due AS MATERIALIZED (
         SELECT seq, row_number() OVER (ORDER BY due_at, seq) AS place
         FROM (SELECT seq, due_at FROM expired UNION ALL SELECT seq, due_at FROM queued) AS either
         ORDER BY due_at, seq LIMIT $2
     ), claimed AS (
         UPDATE job SET state = 'leased', fence = ($3::text[])[due.place],
             lease_until = ",
    now!(),
    " + $4, started_at = coalesce(started_at, ",
    now!(),
    ")
         FROM due WHERE job.seq = due.seq
         RETURNING due.place, job.seq, ",
    now!(),
    " AS now, job.fence, job.",
    job_columns!(),
    "
     )
     SELECT *, ",
    kept_columns!(),
    "
     FROM claimed ORDER BY place"
);

pub(crate) async fn claim(
    connection: &mut PgConnection,
    shift: i64,
    tokens: &[&str],
    ttl: Duration,
) -> Result<(Vec<Claimed>, Vec<Damaged>), StoreError> {
    walk_indexes(connection).await?;
    let rows = statement(CLAIM)
        .bind(shift)
        .bind(i64::try_from(tokens.len()).unwrap_or(i64::MAX))
        .bind(tokens)
        .bind(millis(ttl))
        .fetch_all(&mut *connection)
        .await
        .or_unavailable()?;
    let Some(now) = rows.first().map(|found| found.time("now")).transpose()? else {
        return Ok((Vec::new(), Vec::new()));
    };
    let (mut claimed, mut damaged) = (Vec::with_capacity(rows.len()), Vec::new());
    for found in &rows {
        let token = LeaseToken::stored(found.text("fence")?);
        match row::claimed(found, token, found.time("now")?, row::marker_proof(found)?) {
            Ok(job) => claimed.push((found, job)),
            Err(error) => damaged.push(Damaged::of(found, error)?),
        }
    }
    let mut known = facts(connection, &claimed).await?;
    let mut whole = Vec::with_capacity(claimed.len());
    for (found, mut job) in claimed {
        match known
            .remove(job.job.order.as_str())
            .unwrap_or(Ok(Vec::new()))
        {
            Ok(facts) => {
                job.facts = facts;
                whole.push(job);
            }
            Err(error) => damaged.push(Damaged::of(found, error)?),
        }
    }
    for job in &damaged {
        set_aside(connection, job, now).await?;
    }
    Ok((whole, damaged))
}

type Facts = HashMap<String, Result<Vec<Fact>, StoreError>>;

/// The facts of each order, or the first that cannot be decoded.
async fn facts(
    connection: &mut PgConnection,
    claimed: &[(&PgRow, Claimed)],
) -> Result<Facts, StoreError> {
    let orders: Vec<_> = claimed
        .iter()
        .map(|(_, job)| job.job.order.as_str())
        .collect();
    let mut known = Facts::new();
    for found in facts::of_orders(connection, &orders).await? {
        let of_order = known
            .entry(found.text("order_id")?)
            .or_insert(Ok(Vec::new()));
        match (of_order.as_mut(), row::fact(&found)) {
            (Ok(facts), Ok(recorded)) => facts.push(recorded.fact),
            (Ok(_), Err(error)) => *of_order = Err(error),
            (Err(_), _) => {}
        }
    }
    Ok(known)
}

async fn set_aside(
    connection: &mut PgConnection,
    job: &Damaged,
    now: Timestamp,
) -> Result<(), StoreError> {
    statement(set_aside_job!())
        .bind(job.seq)
        .bind(now.as_millis())
        .bind(job.cause.as_str())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    orders::set_aside(connection, &job.order, now).await
}

/// Makes the planner walk the queue in order up to the limit. It believes that hardly any
/// job is its order's oldest, and would otherwise read and sort all due jobs for every claim.
pub(crate) async fn walk_indexes(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::raw_sql(
        "SET LOCAL enable_seqscan = off;
         SET LOCAL enable_bitmapscan = off",
    )
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

pub(crate) async fn explain_claim(store: &PostgresStore) -> Result<String, StoreError> {
    store
        .run(Commit::Relaxed, |session| {
            Box::pin(async move {
                let (connection, shift) = session.parts();
                walk_indexes(connection).await?;
                let explain = format!("EXPLAIN {CLAIM}");
                let rows = sqlx::query(sqlx::AssertSqlSafe(explain))
                    .persistent(false)
                    .bind(shift)
                    .bind(8_i64)
                    .bind(["fence"; 8].as_slice())
                    .bind(0_i64)
                    .fetch_all(connection)
                    .await
                    .or_unavailable()?;
                let lines = rows.iter().map(|row| row.text("QUERY PLAN"));
                Ok(lines.collect::<Result<Vec<_>, _>>()?.join("\n"))
            })
        })
        .await
}
