//! Admission: a delivery's cursor, event ids, jobs and dead letters in one commit, each kind in one
//! statement.

use std::collections::HashSet;

use domain::job::{Admission, NewJob};
use domain::key::{EventId, IdemKey};
use domain::ports::{DeadLetter, Delivery, Entry, StoreError};
use domain::time::Timestamp;
use serde::Serialize;

use super::intake::{keep_dead_letter, move_cursor};
use super::{Connection, lock_admission, notify_workers, one_of, rows_of, statement};
use crate::admission::EarlierJobs;
use crate::error::OrUnavailable;
use crate::row::{Columns, parameter};

/// Stores a delivery. An entry counts if its event id is new.
pub(crate) async fn accept(
    connection: &mut Connection,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<Vec<Admission>, StoreError> {
    move_cursor(connection, delivery, now).await?;
    let mut new = remember(connection, delivery, now).await?;
    // The second of two entries with the same event id is a repeat, too.
    let is_new: Vec<_> = delivery
        .entries
        .iter()
        .map(|entry| event(entry).is_none_or(|event| new.remove(event)))
        .collect();
    let entries = || delivery.entries.iter().zip(&is_new);
    let new_entries = || entries().filter(|(_, is_new)| **is_new);
    for dead_letter in new_entries().filter_map(|(entry, _)| dead_letter(entry)) {
        keep_dead_letter(connection, &delivery.channel, dead_letter, now).await?;
    }
    let jobs: Vec<_> = new_entries().filter_map(|(entry, _)| job(entry)).collect();
    let mut admitted = admit(connection, &jobs, now).await?.into_iter();
    let admissions = entries().map(|(entry, is_new)| match entry {
        _ if !is_new => Admission::SameDelivery,
        Entry::DeadLetter(_) => Admission::DeadLettered,
        Entry::Job(_) => admitted.next().expect("each new job was admitted"),
    });
    Ok(admissions.collect())
}

fn event(entry: &Entry) -> Option<&str> {
    match entry {
        Entry::Job(job) => job.event.as_ref().map(EventId::as_str),
        Entry::DeadLetter(dead_letter) => Some(dead_letter.event.as_str()),
    }
}

fn job(entry: &Entry) -> Option<&NewJob> {
    match entry {
        Entry::Job(job) => Some(job),
        Entry::DeadLetter(_) => None,
    }
}

fn dead_letter(entry: &Entry) -> Option<&DeadLetter> {
    match entry {
        Entry::Job(_) => None,
        Entry::DeadLetter(dead_letter) => Some(dead_letter),
    }
}

/// Records the event ids and returns the new ones.
async fn remember(
    connection: &mut Connection,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<HashSet<String>, StoreError> {
    #[derive(Serialize)]
    struct Event<'e> {
        event_id: &'e str,
    }
    let events = delivery.entries.iter().filter_map(event);
    let events: Vec<_> = events.map(|event_id| Event { event_id }).collect();
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = statement(concat!(
        "INSERT INTO inbox (channel, event_id, received_at)
         SELECT $1, event_id, $2 FROM ",
        rows_of!("$3", event_id "text"),
        " WHERE true ON CONFLICT DO NOTHING RETURNING event_id"
    ))
    .bind(delivery.channel.as_str())
    .bind(now.as_millis())
    .bind(parameter(&events))
    .fetch_all(connection)
    .await
    .or_unavailable()?;
    rows.iter().map(|row| row.text("event_id")).collect()
}

/// Decides on the requests one by one and enqueues the new ones.
pub(crate) async fn admit(
    connection: &mut Connection,
    jobs: &[&NewJob],
    now: Timestamp,
) -> Result<Vec<Admission>, StoreError> {
    #[derive(Serialize)]
    struct Order<'j> {
        order_id: &'j str,
    }
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    lock_admission(connection).await?;
    let orders = jobs.iter().map(|job| Order {
        order_id: job.order.as_str(),
    });
    let rows = statement(concat!(
        "SELECT id, order_id, idem_key, state, requested_at FROM job
         WHERE order_id ",
        one_of!("$1", order_id "text"),
        " ORDER BY order_id, seq"
    ))
    .bind(parameter(&orders.collect::<Vec<_>>()))
    .fetch_all(&mut *connection)
    .await
    .or_unavailable()?;
    let (admissions, new) = EarlierJobs::of(&rows)?.admit_all(jobs);
    enqueue(connection, &new, now).await?;
    Ok(admissions)
}

/// Enqueues the jobs in order, lists their orders and notifies workers once.
async fn enqueue(
    connection: &mut Connection,
    jobs: &[&NewJob],
    now: Timestamp,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Job<'j> {
        id: &'j str,
        order_id: &'j str,
        source: &'static str,
        event_id: Option<&'j str>,
        idem_key: Option<&'j str>,
        correlation: &'j str,
        requested_by: Option<&'j str>,
        requested_at: i64,
    }
    if jobs.is_empty() {
        return Ok(());
    }
    let new = jobs.iter().map(|job| Job {
        id: job.id.as_str(),
        order_id: job.order.as_str(),
        source: job.source.name(),
        event_id: job.event.as_ref().map(EventId::as_str),
        idem_key: job.idem_key.as_ref().map(IdemKey::as_str),
        correlation: job.correlation.as_str(),
        requested_by: job.requested_by.as_deref(),
        requested_at: job.requested_at.as_millis(),
    });
    let new = parameter(&new.collect::<Vec<_>>());
    statement(concat!(
        "INSERT INTO job (id, order_id, source, event_id, idem_key, correlation, requested_by,
             requested_at, enqueued_at, due_at)
         SELECT id, order_id, source, event_id, idem_key, correlation, requested_by, requested_at,
             $1, $1
         FROM ",
        rows_of!("$2", id "text", order_id "text", source "text", event_id "text",
            idem_key "text", correlation "text", requested_by "text", requested_at "bigint"),
        " ORDER BY place"
    ))
    .bind(now.as_millis())
    .bind(new.clone())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    // In the order of the ids, as everywhere where several are locked: no deadlocks.
    statement(concat!(
        "INSERT INTO orders (order_id, stage, updated_at)
         SELECT DISTINCT order_id, 'live', $1 FROM ",
        rows_of!("$2", order_id "text"),
        " WHERE true ORDER BY order_id
         ON CONFLICT (order_id) DO UPDATE SET stage = 'live', updated_at = excluded.updated_at,
             handled_by = NULL, handled_why = NULL, handled_at = NULL"
    ))
    .bind(now.as_millis())
    .bind(new)
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    notify_workers(connection).await
}
