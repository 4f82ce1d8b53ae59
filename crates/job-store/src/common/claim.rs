//! Claims jobs and loads what a worker needs with them.

use std::collections::HashMap;
use std::time::Duration;

use domain::job::LeaseToken;
use domain::order::Fact;
use domain::ports::{Claimed, StoreError};
use domain::time::Timestamp;
use serde::Serialize;

use super::{Connection, Row, one_of, rows_of, skip_locked, statement, update};
use crate::damage::Damaged;
use crate::error::OrUnavailable;
use crate::row::{self, Columns, job_columns, kept_columns, parameter};
use crate::view::limit;

/// Finds due jobs: queued ones whose time has come, or leased ones whose lease ran out; never
/// a job of an order that has an older live job.
///
/// The oldest live job of an order is looked up row by row, by index, in the sequence of
/// `due_at`, and the walk stops at the limit: however much is queued or finished, a claim
/// reads about as many rows as it takes. Rows locked by another claim are skipped; a
/// row that changed meanwhile is checked again in its newest version.
pub(crate) const DUE: &str = concat!(
    "WITH expired AS MATERIALIZED (
                 SELECT seq, due_at FROM job
                 WHERE state = 'leased' AND lease_until <= $1
                   AND NOT EXISTS (SELECT 1 FROM pause WHERE what = 'worker')
                 ORDER BY due_at, seq LIMIT $2",
    skip_locked!(),
    "), queued AS MATERIALIZED (
                 SELECT seq, due_at FROM job
                 WHERE state = 'queued' AND due_at <= $1
                   AND NOT EXISTS (SELECT 1 FROM pause WHERE what = 'worker')
                   AND seq = (
                       SELECT min(live.seq) FROM job AS live
                       WHERE live.order_id = job.order_id AND live.state IN ('queued', 'leased'))
                 ORDER BY due_at, seq LIMIT $2",
    skip_locked!(),
    ")
             SELECT seq, due_at, ",
    kept_columns!(),
    " FROM (SELECT * FROM expired UNION ALL SELECT * FROM queued) AS either
             ORDER BY due_at, seq LIMIT $2"
);

/// Claims due jobs, one for each token. Those that cannot be decoded are set aside and returned
/// apart.
pub(crate) async fn claim(
    connection: &mut Connection,
    (tokens, ttl): (Vec<LeaseToken>, Duration),
    now: Timestamp,
) -> Result<(Vec<Claimed>, Vec<Damaged>), StoreError> {
    let due = statement(DUE)
        .bind(now.as_millis())
        .bind(limit(tokens.len()))
        .fetch_all(&mut *connection)
        .await
        .or_unavailable()?;
    let Some(first) = due.first() else {
        return Ok((Vec::new(), Vec::new()));
    };
    let marker_proof = row::marker_proof(first)?;
    let rows = lease(connection, &due, &tokens, now, now + ttl).await?;
    let (mut claimed, mut damaged) = (Vec::with_capacity(rows.len()), Vec::new());
    for found in &rows {
        let token = LeaseToken::stored(found.text("fence")?);
        match row::claimed(found, token, now, marker_proof) {
            Ok(job) => claimed.push((found, job)),
            Err(error) => damaged.push(Damaged::of(found, error)?),
        }
    }
    let mut known = facts(connection, &claimed).await?;
    let mut whole = Vec::with_capacity(claimed.len());
    for (found, mut job) in claimed {
        let of_order = known.remove(job.job.order.as_str());
        match of_order.unwrap_or(Ok(Vec::new())) {
            Ok(facts) => {
                job.facts = facts;
                whole.push(job);
            }
            Err(error) => damaged.push(Damaged::of(found, error)?),
        }
    }
    for job in &damaged {
        update::set_aside(connection, job, now).await?;
    }
    Ok((whole, damaged))
}

/// Leases the due jobs. Returns their rows, the longest due first.
async fn lease(
    connection: &mut Connection,
    due: &[Row],
    tokens: &[LeaseToken],
    now: Timestamp,
    until: Timestamp,
) -> Result<Vec<Row>, StoreError> {
    #[derive(Serialize)]
    struct Job<'t> {
        due_seq: i64,
        token: &'t str,
    }
    let leased = due.iter().zip(tokens).map(|(found, token)| {
        Ok(Job {
            due_seq: found.int("seq")?,
            token: token.as_str(),
        })
    });
    let mut rows = statement(concat!(
        "UPDATE job SET state = 'leased', fence = given.token, lease_until = $2,
             started_at = coalesce(started_at, $1)
         FROM ",
        rows_of!("$3", due_seq "bigint", token "text"),
        " WHERE seq = given.due_seq RETURNING seq, due_at, fence, ",
        job_columns!()
    ))
    .bind(now.as_millis())
    .bind(until.as_millis())
    .bind(parameter(&leased.collect::<Result<Vec<_>, StoreError>>()?))
    .fetch_all(connection)
    .await
    .or_unavailable()?;
    rows.sort_by_cached_key(|row| (row.int("due_at").ok(), row.int("seq").ok()));
    Ok(rows)
}

type Facts = HashMap<String, Result<Vec<Fact>, StoreError>>;

/// The facts of each order, oldest first, or the first that cannot be decoded.
async fn facts(
    connection: &mut Connection,
    claimed: &[(&Row, Claimed)],
) -> Result<Facts, StoreError> {
    #[derive(Serialize)]
    struct Order<'j> {
        order_id: &'j str,
    }
    let orders = claimed.iter().map(|(_, job)| Order {
        order_id: job.job.order.as_str(),
    });
    let rows = statement(concat!(
        "SELECT order_id, at, job_id, kind, body FROM fact
         WHERE order_id ",
        one_of!("$1", order_id "text"),
        " ORDER BY order_id, seq"
    ))
    .bind(parameter(&orders.collect::<Vec<_>>()))
    .fetch_all(connection)
    .await
    .or_unavailable()?;
    let mut known = Facts::new();
    for found in rows {
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
