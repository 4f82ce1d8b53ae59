//! One delivery: cursor, event ids, jobs and dead letters in one commit.

use std::collections::HashSet;

use domain::job::{Admission, NewJob};
use domain::ports::{Delivery, Entry, StoreError};
use domain::time::Timestamp;

use super::intake::{keep_dead_letter, move_cursor};
use super::{Connection, orders, statement};
use crate::admission::EarlierJobs;
use crate::error::OrUnavailable;
use crate::row::Columns;

/// The key of the lock under which requests are admitted. Two admitted at the same time
/// would not know of each other.
const ADMITTING: i64 = 0x6f72_6465_7261_646d;

pub(crate) async fn accept(
    connection: &mut Connection,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Vec<Admission>, StoreError> {
    move_cursor(connection, delivery, now).await?;
    let mut new = remember(connection, delivery, now).await?;
    let mut jobs = Vec::new();
    let mut dead_letters = Vec::new();
    // Which entries are new, in the stream's order; the second of two in one delivery is not.
    let fresh: Vec<_> = delivery
        .entries
        .iter()
        .map(|entry| match (entry, event(entry)) {
            (_, Some(event)) if !new.remove(event) => false,
            (Entry::Job(job), _) => {
                jobs.push(job);
                true
            }
            (Entry::DeadLetter(dead_letter), _) => {
                dead_letters.push(dead_letter);
                true
            }
        })
        .collect();
    for dead_letter in dead_letters {
        keep_dead_letter(connection, &delivery.channel, dead_letter, now).await?;
    }
    let mut admitted = admit(connection, &jobs, now).await?.into_iter();
    Ok(delivery
        .entries
        .iter()
        .zip(fresh)
        .map(|(entry, fresh)| match entry {
            _ if !fresh => Admission::SameDelivery,
            Entry::DeadLetter(_) => Admission::DeadLettered,
            Entry::Job(_) => admitted.next().expect("each new job was admitted"),
        })
        .collect())
}

fn event(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::Job(job) => job.event.as_ref().map(domain::key::EventId::as_str),
        Entry::DeadLetter(dead_letter) => Some(dead_letter.event.as_str()),
    }
}

/// Records the event ids and returns the new ones.
async fn remember(
    connection: &mut Connection,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<HashSet<String>, StoreError> {
    let events: Vec<_> = delivery.entries.iter().filter_map(event).collect();
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = statement(
        "INSERT INTO inbox (channel, event_id, received_at)
         SELECT $1, event_id, $2 FROM unnest($3::text[]) AS event_id
         ON CONFLICT DO NOTHING RETURNING event_id",
    )
    .bind(delivery.channel.as_str())
    .bind(now.as_millis())
    .bind(events)
    .fetch_all(connection)
    .await
    .or_unavailable()?;
    rows.iter().map(|row| row.text("event_id")).collect()
}

/// Takes the admission lock until the commit.
pub(crate) async fn lock_admission(connection: &mut Connection) -> Result<(), StoreError> {
    statement("SELECT pg_advisory_xact_lock($1)")
        .bind(ADMITTING)
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}

/// Decides on the requests one by one and enqueues the new ones.
pub(crate) async fn admit(
    connection: &mut Connection,
    jobs: &[&NewJob],
    now: Timestamp,
) -> Result<Vec<Admission>, StoreError> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    lock_admission(connection).await?;
    let orders: HashSet<_> = jobs.iter().map(|job| job.order.as_str()).collect();
    let rows = statement(
        "SELECT id, order_id, idem_key, state, requested_at FROM job
         WHERE order_id = ANY($1) ORDER BY order_id, seq",
    )
    .bind(orders.into_iter().collect::<Vec<_>>())
    .fetch_all(&mut *connection)
    .await
    .or_unavailable()?;
    let (admissions, new) = EarlierJobs::of(&rows)?.admit_all(jobs);
    insert(connection, &new, now).await?;
    Ok(admissions)
}

/// Enqueues the jobs in order and notifies listeners once per commit.
async fn insert(
    connection: &mut Connection,
    jobs: &[&NewJob],
    now: Timestamp,
) -> Result<(), StoreError> {
    if jobs.is_empty() {
        return Ok(());
    }
    let column = |read: fn(&NewJob) -> &str| jobs.iter().map(|job| read(job)).collect::<Vec<_>>();
    let maybe =
        |read: fn(&NewJob) -> Option<&str>| jobs.iter().map(|job| read(job)).collect::<Vec<_>>();
    let requested: Vec<_> = jobs
        .iter()
        .map(|job| job.requested_at.as_millis())
        .collect();
    statement(
        "INSERT INTO job (id, order_id, source, event_id, idem_key, correlation, requested_by,
             requested_at, enqueued_at, due_at)
         SELECT id, order_id, source, event_id, idem_key, correlation, requested_by, requested_at,
             $1, $1
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                 $8::text[], $9::bigint[])
             WITH ORDINALITY AS new (id, order_id, source, event_id, idem_key, correlation,
                 requested_by, requested_at, place)
         ORDER BY place",
    )
    .bind(now.as_millis())
    .bind(column(|job| job.id.as_str()))
    .bind(column(|job| job.order.as_str()))
    .bind(column(|job| job.source.name()))
    .bind(maybe(|job| {
        job.event.as_ref().map(domain::key::EventId::as_str)
    }))
    .bind(maybe(|job| {
        job.idem_key.as_ref().map(domain::key::IdemKey::as_str)
    }))
    .bind(column(|job| job.correlation.as_str()))
    .bind(maybe(|job| job.requested_by.as_deref()))
    .bind(requested)
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    orders::asked_for(connection, &column(|job| job.order.as_str()), now).await?;
    sqlx::raw_sql("NOTIFY orderbridge_job")
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}
