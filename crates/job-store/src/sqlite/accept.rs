//! One delivery: cursor, event ids, jobs and dead letters in one commit.

use domain::job::{Admission, NewJob};
use domain::ports::{Delivery, Entry, StoreError};
use domain::time::Timestamp;
use serde_json::json;

use super::intake::{keep_dead_letter, move_cursor};
use super::{Connection, orders, statement};
use crate::admission::EarlierJobs;
use crate::error::OrUnavailable;

pub(crate) async fn accept(
    connection: &mut Connection,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Vec<Admission>, StoreError> {
    move_cursor(connection, delivery, now).await?;
    let mut admissions = Vec::with_capacity(delivery.entries.len());
    for entry in &delivery.entries {
        let event = match entry {
            Entry::Job(job) => job.event.as_ref(),
            Entry::DeadLetter(dead_letter) => Some(&dead_letter.event),
        };
        if let Some(event) = event {
            let new = statement(
                "INSERT INTO inbox (channel, event_id, received_at) VALUES ($1, $2, $3)
                 ON CONFLICT DO NOTHING",
            )
            .bind(delivery.channel.as_str())
            .bind(event.as_str())
            .bind(now.as_millis())
            .execute(&mut *connection)
            .await
            .or_unavailable()?;
            if new.rows_affected() == 0 {
                admissions.push(Admission::SameDelivery);
                continue;
            }
        }
        match entry {
            Entry::Job(job) => admissions.extend(admit(connection, &[job], now).await?),
            Entry::DeadLetter(dead_letter) => {
                keep_dead_letter(connection, &delivery.channel, dead_letter, now).await?;
                admissions.push(Admission::DeadLettered);
            }
        }
    }
    Ok(admissions)
}

/// One writer at a time needs no lock.
pub(crate) async fn lock_admission(_connection: &mut Connection) -> Result<(), StoreError> {
    Ok(())
}

/// Decides on the requests one by one and enqueues the new ones.
pub(crate) async fn admit(
    connection: &mut Connection,
    jobs: &[&NewJob],
    now: Timestamp,
) -> Result<Vec<Admission>, StoreError> {
    let orders: Vec<_> = jobs.iter().map(|job| job.order.as_str()).collect();
    let rows = statement(
        "SELECT id, order_id, idem_key, state, requested_at FROM job
         WHERE order_id IN (SELECT value FROM json_each($1)) ORDER BY order_id, seq",
    )
    .bind(json!(orders).to_string())
    .fetch_all(&mut *connection)
    .await
    .or_unavailable()?;
    let (admissions, new) = EarlierJobs::of(&rows)?.admit_all(jobs);
    for job in new {
        insert(connection, job, now).await?;
        orders::asked_for(connection, job.order, now).await?;
    }
    Ok(admissions)
}

async fn insert(
    connection: &mut Connection,
    job: &NewJob,
    now: Timestamp,
) -> Result<(), StoreError> {
    statement(
        "INSERT INTO job (id, order_id, source, event_id, idem_key, correlation, requested_by,
             requested_at, enqueued_at, due_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
    )
    .bind(job.id.as_str())
    .bind(job.order.as_str())
    .bind(job.source.name())
    .bind(job.event.as_ref().map(domain::key::EventId::as_str))
    .bind(job.idem_key.as_ref().map(domain::key::IdemKey::as_str))
    .bind(job.correlation.as_str())
    .bind(job.requested_by.as_deref())
    .bind(job.requested_at.as_millis())
    .bind(now.as_millis())
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}
