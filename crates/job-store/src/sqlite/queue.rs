//! What the worker does with the store.

use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use domain::job::{Lease, LeaseToken};
use domain::key::Owner;
use domain::order::MarkerProof;
use domain::ports::{Claimed, JobChange, JobQueue, JobUpdate, StoreError};
use domain::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::damage::{self, Damaged, set_aside_job};
use crate::error::OrUnavailable;
use crate::row::{self, Columns, job_columns, kept_columns};
use crate::sqlite::{SqliteStore, calls, facts, orders};
use crate::update::JobValues;

/// Due: queued and its time has come, or leased and the lease ran out. Never a job of an
/// order that has an older job still going; a leased one is its order's oldest.
///
/// In two halves, so that each is a walk along one index that stops at the limit.
const DUE: &str = concat!(
    "SELECT * FROM (
         SELECT seq, due_at, ",
    job_columns!(),
    " FROM job WHERE state = 'leased' AND lease_until <= ?1
           AND NOT EXISTS (SELECT 1 FROM pause WHERE what = 'worker')
         ORDER BY due_at, seq LIMIT ?2)
     UNION ALL
     SELECT * FROM (
         SELECT seq, due_at, ",
    job_columns!(),
    " FROM job WHERE state = 'queued' AND due_at <= ?1
           AND NOT EXISTS (SELECT 1 FROM pause WHERE what = 'worker')
           AND NOT EXISTS (
               SELECT 1 FROM job AS older
               WHERE older.order_id = job.order_id AND older.seq < job.seq
                 AND older.state IN ('queued', 'leased'))
         ORDER BY due_at, seq LIMIT ?2)
     ORDER BY due_at, seq LIMIT ?2"
);

/// The polling interval while workers are paused.
const PAUSED: Duration = Duration::from_secs(1);

#[async_trait]
impl JobQueue for SqliteStore {
    async fn claim(
        &self,
        owner: &Owner,
        limit: usize,
        ttl: Duration,
    ) -> Result<Vec<Claimed>, StoreError> {
        let now = self.clock.now();
        // A read-only check first: most of the time there is nothing to claim.
        if limit == 0 || !self.anything_due(now).await? {
            return Ok(Vec::new());
        }
        let first = self.claims.fetch_add(limit as u64, Ordering::Relaxed);
        let tokens: Vec<_> = (0..limit as u64)
            .map(|count| LeaseToken::of(owner, first + count))
            .collect();
        let claimed = self
            .write_now(move |connection, now| Box::pin(claim(connection, tokens, now, now + ttl)));
        let (claimed, damaged) = claimed.await?;
        damaged.iter().for_each(Damaged::report);
        Ok(claimed)
    }

    async fn renew(&self, leases: &[Lease], ttl: Duration) -> Result<Vec<Lease>, StoreError> {
        let leases = leases.to_vec();
        self.write_now(move |connection, now| {
                Box::pin(async move {
                    let mut lost = Vec::new();
                    for lease in leases {
                        let renewed = sqlx::query(
                            "UPDATE job SET lease_until = ?4
                             WHERE lease_until > ?1 AND id = ?2 AND fence = ?3 AND state = 'leased'",
                        )
                        .bind(now.as_millis())
                        .bind(lease.job.as_str().to_owned())
                        .bind(lease.token.as_str().to_owned())
                        .bind((now + ttl).as_millis())
                        .execute(&mut *connection)
                        .await
                        .or_unavailable()?;
                        if renewed.rows_affected() == 0 {
                            lost.push(lease);
                        }
                    }
                    Ok(lost)
                })
            })
            .await
    }

    async fn update(&self, lease: &Lease, update: &JobUpdate) -> Result<(), StoreError> {
        let (lease, update) = (lease.clone(), update.clone());
        let is_set_aside = matches!(update.change, JobChange::SetAside { .. });
        self.write_now(move |connection, now| {
            Box::pin(async move { apply(connection, &lease, &update, now).await })
        })
        .await?;
        if is_set_aside {
            damage::count();
        }
        Ok(())
    }

    async fn wait_for_work(&self, limit: Duration) {
        let limit = match self.next_due().await {
            // A job that may not be taken must not wake waiters again and again.
            _ if self.is_paused().await => limit.min(PAUSED),
            Ok(Some(due)) => limit.min(due.since(self.clock.now())),
            Ok(None) | Err(_) => limit,
        };
        self.notifier.wait(limit).await;
    }
}

impl SqliteStore {
    /// Whether an operator paused the workers; `false` when that cannot be read.
    async fn is_paused(&self) -> bool {
        let found = sqlx::query("SELECT 1 FROM pause WHERE what = 'worker'")
            .fetch_optional(&self.readers)
            .await;
        matches!(found, Ok(Some(_)))
    }

    async fn anything_due(&self, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.next_due().await?.is_some_and(|due| due <= now))
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(
            // A job that waits for an older one of its order is due when that one ends.
            "SELECT min(at) FROM (
                 SELECT at FROM (
                     SELECT due_at AS at FROM job
                     WHERE state = 'queued' AND NOT EXISTS (
                         SELECT 1 FROM job AS older
                         WHERE older.order_id = job.order_id AND older.seq < job.seq
                           AND older.state IN ('queued', 'leased'))
                     ORDER BY due_at, seq LIMIT 1)
                 UNION ALL
                 SELECT min(lease_until) FROM job WHERE state = 'leased')",
        )
        .fetch_one(&self.readers)
        .await
        .or_unavailable()?;
        let at: Option<i64> = row.try_get(0).or_unavailable()?;
        Ok(at.map(Timestamp::from_millis))
    }
}

async fn claim(
    connection: &mut SqliteConnection,
    tokens: Vec<LeaseToken>,
    now: Timestamp,
    until: Timestamp,
) -> Result<(Vec<Claimed>, Vec<Damaged>), StoreError> {
    let rows = sqlx::query(DUE)
        .bind(now.as_millis())
        .bind(i64::try_from(tokens.len()).unwrap_or(i64::MAX))
        .fetch_all(&mut *connection)
        .await
        .or_unavailable()?;
    let evidence = sqlx::query(concat!("SELECT ", kept_columns!()))
        .fetch_one(&mut *connection)
        .await
        .or_unavailable()?;
    let marker_proof = row::marker_proof(&evidence)?;
    let mut claimed = Vec::with_capacity(rows.len());
    let mut damaged = Vec::new();
    for (found, token) in rows.iter().zip(tokens) {
        let job = match decode(connection, found, token, now, marker_proof).await {
            Ok(job) => job,
            Err(error) => {
                let job = Damaged::of(found, error)?;
                set_aside(connection, &job, now).await?;
                damaged.push(job);
                continue;
            }
        };
        sqlx::query(
            "UPDATE job SET state = 'leased', fence = ?1, lease_until = ?2,
                 started_at = coalesce(started_at, ?3)
             WHERE seq = ?4",
        )
        .bind(job.lease.token.as_str().to_owned())
        .bind(until.as_millis())
        .bind(now.as_millis())
        .bind(found.int("seq")?)
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
        claimed.push(job);
    }
    Ok((claimed, damaged))
}

async fn decode(
    connection: &mut SqliteConnection,
    found: &SqliteRow,
    token: LeaseToken,
    now: Timestamp,
    marker_proof: Option<MarkerProof>,
) -> Result<Claimed, StoreError> {
    let mut job = row::claimed(found, token, now, marker_proof)?;
    job.facts = facts::of_order(connection, job.job.order).await?;
    Ok(job)
}

async fn set_aside(
    connection: &mut SqliteConnection,
    job: &Damaged,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(set_aside_job!())
        .bind(job.seq)
        .bind(now.as_millis())
        .bind(job.cause.clone())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    orders::set_aside(connection, &job.order, now).await
}

/// Applies an update if the lease is valid. A lease that ran out is lost even while nobody else has
/// taken the job: the token alone would let a paused owner write at that moment.
async fn apply(
    connection: &mut SqliteConnection,
    lease: &Lease,
    update: &JobUpdate,
    now: Timestamp,
) -> Result<(), StoreError> {
    let new = JobValues::of(update);
    let done = sqlx::query(
        "UPDATE job SET state = ?4,
             fence = CASE WHEN ?4 = 'leased' THEN fence END,
             lease_until = CASE WHEN ?4 = 'leased' THEN lease_until END,
             due_at = CASE WHEN ?4 = 'queued' THEN ?1 + ?5 ELSE due_at END,
             deferrals = CASE ?4 WHEN 'leased' THEN 0 ELSE deferrals + ?6 END,
             ended_at = CASE WHEN ?4 NOT IN ('leased', 'queued') THEN ?1 END,
             set_aside = ?7
         WHERE lease_until > ?1 AND id = ?2 AND fence = ?3 AND state = 'leased'",
    )
    .bind(now.as_millis())
    .bind(lease.job.as_str().to_owned())
    .bind(lease.token.as_str().to_owned())
    .bind(new.state)
    .bind(new.due_after)
    .bind(new.deferrals)
    .bind(new.set_aside.clone())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    if done.rows_affected() == 0 {
        return Err(StoreError::LeaseLost);
    }
    calls::append(connection, lease, &update.calls).await?;
    facts::append(connection, lease.order, &lease.job, &update.facts, now).await?;
    match (new.outcome, new.set_aside) {
        (_, Some(_)) => orders::set_aside(connection, lease.order.as_str(), now).await,
        (Some(outcome), None) => orders::ended(connection, lease.order, outcome, now).await,
        (None, None) => Ok(()),
    }
}
