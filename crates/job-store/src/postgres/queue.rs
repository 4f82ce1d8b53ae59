//! The worker's view.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::{Ending, Fence, Lease};
use domain::key::Owner;
use domain::order::Fact;
use domain::ports::{CallRecord, Claimed, JobQueue, Release, StoreError};
use sqlx::PgConnection;

use crate::error::OrUnavailable;
use crate::postgres::facts::{self, Arrays};
use crate::postgres::intake::millis;
use crate::postgres::orders::{self, listed};
use crate::postgres::transaction::{Commit, statement};
use crate::postgres::{PostgresStore, calls, now};
use crate::row::{self, Columns, job_columns, kept_columns};

/// How soon whoever waits looks again while no notification can reach it.
const POLL: Duration = Duration::from_secs(1);
/// The shortest wait: rows that another claim is just taking look due until it has committed.
const MOMENT: Duration = Duration::from_millis(5);

/// Claims what is due: queued and its time has come, or leased and the lease ran out; never
/// a job of an order that has an older one still going.
///
/// The oldest live job of an order is looked up row by row, by index, in the sequence of
/// `due_at`, and the walk stops at the limit: however much is queued or finished, a claim
/// reads about as many rows as it takes. Rows that another claim holds are passed over; a
/// row that changed meanwhile is judged anew by its newest version.
pub(crate) const CLAIM: &str = concat!(
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
         RETURNING due.place, ",
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

/// Whether a lease holds.
macro_rules! held {
    () => {
        concat!(
            "id = $2 AND fence = $3 AND state = 'leased' AND lease_until > ",
            now!()
        )
    };
}

/// The rest of a statement that begins with a CTE `held` and appends facts under it.
macro_rules! append {
    () => {
        concat!(
            ", appended AS (
                 INSERT INTO fact (order_id, job_id, at, kind, marked, body)
                 SELECT held.order_id, held.id, ",
            now!(),
            ", new.kind, new.marked, new.body
                 FROM held CROSS JOIN unnest($4::text[], $5::bigint[], $6::text[])
                     WITH ORDINALITY AS new (kind, marked, body, place)
                 ORDER BY new.place)",
            listed!(),
            " SELECT id FROM held"
        )
    };
}

#[async_trait]
impl JobQueue for PostgresStore {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let first = self.claims.fetch_add(limit as u64, Ordering::Relaxed);
        let fences: Vec<_> = (0..limit as u64)
            .map(|count| Fence::of(owner, first + count))
            .collect();
        let fences: &Vec<_> = &fences.iter().map(Fence::as_str).collect();
        self.run(Commit::Relaxed, move |session| {
            Box::pin(claim(session.connection, session.shift, fences, ttl))
        })
        .await
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        let jobs: Vec<_> = leases.iter().map(|lease| lease.job.as_str()).collect();
        let fences: Vec<_> = leases.iter().map(|lease| lease.fence.as_str()).collect();
        let (jobs, fences) = (&jobs, &fences);
        let renewed = self
            .run(Commit::Relaxed, move |session| {
                Box::pin(async move {
                    let (connection, shift) = session.parts();
                    let rows = statement(concat!(
                        "UPDATE job SET lease_until = ",
                        now!(),
                        " + $4
                         FROM unnest($2::text[], $3::text[]) AS ours (id, fence)
                         WHERE job.id = ours.id AND job.fence = ours.fence
                           AND job.state = 'leased' AND job.lease_until > ",
                        now!(),
                        " RETURNING job.fence"
                    ))
                    .bind(shift)
                    .bind(jobs)
                    .bind(fences)
                    .bind(millis(ttl))
                    .fetch_all(connection)
                    .await
                    .or_unavailable()?;
                    rows.iter()
                        .map(|row| row.text("fence"))
                        .collect::<Result<std::collections::HashSet<_>, _>>()
                })
            })
            .await?;
        let lost = leases
            .iter()
            .filter(|lease| !renewed.contains(lease.fence.as_str()));
        Ok(lost.cloned().collect())
    }

    async fn record(
        &self,
        lease: &Lease,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let new = &Arrays::of(facts);
        self.run(Commit::Flushed, move |session| {
            Box::pin(async move {
                let (connection, shift) = session.parts();
                // A lease that ran out is lost even while nobody else has taken the job: the
                // fence alone would let a paused owner write in that moment.
                let query = statement(concat!(
                    "WITH held AS (UPDATE job SET deferrals = 0 WHERE ",
                    held!(),
                    " RETURNING id, order_id)",
                    append!()
                ))
                .bind(shift)
                .bind(lease.job.as_str())
                .bind(lease.fence.as_str())
                .bind(&new.kinds)
                .bind(&new.marked)
                .bind(&new.bodies)
                .bind("live");
                let held = orders::bind(query, facts, false)
                    .fetch_optional(&mut *connection)
                    .await
                    .or_unavailable()?;
                held.ok_or(StoreError::LeaseLost)?;
                calls::append(connection, lease, calls).await
            })
        })
        .await
    }

    async fn release(
        &self,
        lease: &Lease,
        release: Release,
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(async move {
                let (connection, shift) = session.parts();
                let released = statement(concat!(
                    "UPDATE job SET state = 'queued', fence = NULL, lease_until = NULL,
                         due_at = ",
                    now!(),
                    " + $4, deferrals = deferrals + $5 WHERE ",
                    held!()
                ))
                .bind(shift)
                .bind(lease.job.as_str())
                .bind(lease.fence.as_str())
                .bind(millis(release.after))
                .bind(i64::from(release.deferral))
                .execute(&mut *connection)
                .await
                .or_unavailable()?;
                if released.rows_affected() == 0 {
                    return Err(StoreError::LeaseLost);
                }
                calls::append(&mut *connection, lease, calls).await?;
                if release.after.is_zero() {
                    // We are on our way out: another machine may take it at once.
                    sqlx::raw_sql("NOTIFY orderbridge_job")
                        .execute(connection)
                        .await
                        .or_unavailable()?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn finish(
        &self,
        lease: &Lease,
        ending: Ending,
        facts: &[Fact],
        calls: &[CallRecord],
    ) -> Result<(), StoreError> {
        let new = &Arrays::of(facts);
        self.run(Commit::Flushed, move |session| {
            Box::pin(async move {
                let (connection, shift) = session.parts();
                let query = statement(concat!(
                    "WITH held AS (
                         UPDATE job SET state = $7, fence = NULL, lease_until = NULL, ended_at = ",
                    now!(),
                    " WHERE ",
                    held!(),
                    " RETURNING id, order_id)",
                    append!()
                ))
                .bind(shift)
                .bind(lease.job.as_str())
                .bind(lease.fence.as_str())
                .bind(&new.kinds)
                .bind(&new.marked)
                .bind(&new.bodies)
                .bind(ending.name());
                let held = orders::bind(query, facts, true)
                    .fetch_optional(&mut *connection)
                    .await
                    .or_unavailable()?;
                held.ok_or(StoreError::LeaseLost)?;
                calls::append(connection, lease, calls).await
            })
        })
        .await
    }

    async fn wait(&self, limit: Duration) {
        let limit = match self.hearing.is_good() {
            true => limit,
            false => limit.min(POLL),
        };
        let due = self.run(Commit::Relaxed, |session| {
            Box::pin(next_due(session.connection, session.shift))
        });
        let limit = match due.await {
            Ok(Some(due)) => limit.min(due.max(MOMENT)),
            Ok(None) => limit,
            Err(_) => limit.min(POLL),
        };
        self.wake.wait(limit).await;
    }
}

async fn claim(
    connection: &mut PgConnection,
    shift: i64,
    fences: &[&str],
    ttl: Duration,
) -> Result<Vec<Claimed>, StoreError> {
    walk_indexes(connection).await?;
    let rows = statement(CLAIM)
        .bind(shift)
        .bind(i64::try_from(fences.len()).unwrap_or(i64::MAX))
        .bind(fences)
        .bind(millis(ttl))
        .fetch_all(&mut *connection)
        .await
        .or_unavailable()?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let mut claimed = Vec::with_capacity(rows.len());
    for found in &rows {
        claimed.push(row::claimed(
            found,
            Fence::stored(found.text("fence")?),
            found.time("now")?,
            row::markers_kept(found)?,
        )?);
    }
    let orders: Vec<_> = claimed.iter().map(|job| job.job.order).collect();
    let orders: Vec<_> = orders.iter().map(domain::id::Id::as_str).collect();
    let mut known: HashMap<_, Vec<_>> = HashMap::new();
    for (order, recorded) in facts::of_orders(connection, &orders).await? {
        known.entry(order).or_default().push(recorded.fact);
    }
    for job in &mut claimed {
        job.facts = known.remove(&job.job.order).unwrap_or_default();
    }
    Ok(claimed)
}

/// Makes the planner walk the queue in its order until the limit. It believes that hardly any
/// job is its order's oldest, and would else read and sort all that is due for every claim.
async fn walk_indexes(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::raw_sql(
        "SET LOCAL enable_seqscan = off;
         SET LOCAL enable_bitmapscan = off",
    )
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

/// How long until a job is due: zero when one is. A job that waits for an older one of its
/// order is due when that one ends.
async fn next_due(
    connection: &mut PgConnection,
    shift: i64,
) -> Result<Option<Duration>, StoreError> {
    walk_indexes(connection).await?;
    // What may not be taken must not wake anybody over and over.
    let row = statement(concat!(
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM pause WHERE what = 'worker') THEN 1000 ELSE
         least(
             (SELECT due_at FROM job
              WHERE state = 'queued' AND seq = (
                  SELECT min(live.seq) FROM job AS live
                  WHERE live.order_id = job.order_id AND live.state IN ('queued', 'leased'))
              ORDER BY due_at, seq LIMIT 1),
             (SELECT min(lease_until) FROM job WHERE state = 'leased')) - ",
        now!(),
        " END AS wait"
    ))
    .bind(shift)
    .fetch_one(&mut *connection)
    .await
    .or_unavailable()?;
    let wait = row.maybe_int("wait")?;
    Ok(wait.map(|wait| Duration::from_millis(u64::try_from(wait).unwrap_or(0))))
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
