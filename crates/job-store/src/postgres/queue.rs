//! What the worker does with the store.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::{JobOutcome, Lease, LeaseToken};
use domain::key::Owner;
use domain::ports::{Claimed, JobQueue, JobUpdate, StoreError};
use sqlx::PgConnection;

use crate::damage::{self, Damaged};
use crate::error::OrUnavailable;
use crate::postgres::claim::{self, walk_indexes};
use crate::postgres::facts::Arrays;
use crate::postgres::millis;
use crate::postgres::orders::{self, listed};
use crate::postgres::statement;
use crate::postgres::{PostgresStore, calls, now};
use crate::row::Columns;
use crate::store::Commit;
use crate::update::JobValues;

/// The polling interval while no notification can arrive.
const POLL: Duration = Duration::from_secs(1);
/// The shortest wait: rows that another claim is just taking look due until it has committed.
const MOMENT: Duration = Duration::from_millis(5);

/// Updates a job if the lease is valid, appends facts and changes the list of orders. A lease that
/// ran out is lost even while nobody else has taken the job: the token alone would let a paused
/// owner write at that moment.
const UPDATE: &str = concat!(
    "WITH held AS (
         UPDATE job SET state = $15,
             fence = CASE WHEN $15 = 'leased' THEN fence END,
             lease_until = CASE WHEN $15 = 'leased' THEN lease_until END,
             due_at = CASE WHEN $15 = 'queued' THEN ",
    now!(),
    " + $16 ELSE due_at END,
             deferrals = CASE $15 WHEN 'leased' THEN 0 ELSE deferrals + $17 END,
             ended_at = CASE WHEN $15 NOT IN ('leased', 'queued') THEN ",
    now!(),
    " END,
             set_aside = $18
         WHERE id = $2 AND fence = $3 AND state = 'leased' AND lease_until > ",
    now!(),
    " RETURNING id, order_id), appended AS (
         INSERT INTO fact (order_id, job_id, at, kind, marked, body)
         SELECT held.order_id, held.id, ",
    now!(),
    ", new.kind, new.marked, new.body
         FROM held CROSS JOIN unnest($4::text[], $5::bigint[], $6::text[])
             WITH ORDINALITY AS new (kind, marked, body, place)
         ORDER BY new.place)",
    listed!(),
    " SELECT id FROM held"
);

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
        let tokens: Vec<_> = (0..limit as u64)
            .map(|count| LeaseToken::of(owner, first + count))
            .collect();
        let tokens: &Vec<_> = &tokens.iter().map(LeaseToken::as_str).collect();
        let claimed = self.run(Commit::Relaxed, move |session| {
            Box::pin(claim::claim(session.connection, session.shift, tokens, ttl))
        });
        let (claimed, damaged) = claimed.await?;
        damaged.iter().for_each(Damaged::report);
        Ok(claimed)
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        let jobs: Vec<_> = leases.iter().map(|lease| lease.job.as_str()).collect();
        let tokens: Vec<_> = leases.iter().map(|lease| lease.token.as_str()).collect();
        let (jobs, tokens) = (&jobs, &tokens);
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
                    .bind(tokens)
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
            .filter(|lease| !renewed.contains(lease.token.as_str()));
        Ok(lost.cloned().collect())
    }

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> Result<(), StoreError> {
        let (new, facts) = (&JobValues::of(update), &Arrays::of(&update.facts));
        let commit = match new.flushed {
            true => Commit::Flushed,
            false => Commit::Relaxed,
        };
        self.run(commit, move |session| {
            Box::pin(async move {
                let (connection, shift) = session.parts();
                let query = statement(UPDATE)
                    .bind(shift)
                    .bind(lease.job.as_str())
                    .bind(lease.token.as_str())
                    .bind(&facts.kinds)
                    .bind(&facts.marked)
                    .bind(&facts.bodies)
                    .bind(new.outcome.map_or("live", JobOutcome::name));
                let held = orders::bind(query, &update.facts, new)
                    .bind(new.state)
                    .bind(new.due_after)
                    .bind(new.deferrals)
                    .bind(new.set_aside.as_deref())
                    .fetch_optional(&mut *connection)
                    .await
                    .or_unavailable()?;
                held.ok_or(StoreError::LeaseLost)?;
                calls::append(&mut *connection, lease, &update.calls).await?;
                if new.is_due_now() {
                    // This process is shutting down: another may take the job at once.
                    sqlx::raw_sql("NOTIFY orderbridge_job")
                        .execute(connection)
                        .await
                        .or_unavailable()?;
                }
                Ok(())
            })
        })
        .await?;
        if new.set_aside.is_some() {
            damage::count();
        }
        Ok(())
    }

    async fn wait_for_work(&self, limit: Duration) {
        let limit = match self.health.is_good() {
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
        self.notifier.wait(limit).await;
    }
}

/// How long until a job is due: zero when one is. A job that waits for an older one of its
/// order is due when that one ends.
async fn next_due(
    connection: &mut PgConnection,
    shift: i64,
) -> Result<Option<Duration>, StoreError> {
    walk_indexes(connection).await?;
    // A job that may not be taken must not wake waiters again and again.
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
