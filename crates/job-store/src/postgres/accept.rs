//! One delivery: position, event ids, jobs and dead letters in one commit.

use std::collections::HashSet;

use domain::job::{Admission, NewJob};
use domain::key::{Channel, IdemKey, JobId};
use domain::ports::{DeadLetter, Delivery, Entry, StoreError};
use sqlx::PgConnection;

use crate::admission::EarlierJobs;
use crate::error::OrUnavailable;
use crate::postgres::transaction::statement;
use crate::postgres::{cursor_history, now, orders};
use crate::record;
use crate::row::{self, Columns};

/// The key of the lock under which requests are admitted. Two admitted at the same time
/// would not know of each other.
const ADMITTING: i64 = 0x6f72_6465_7261_646d;

pub(crate) async fn accept(
    connection: &mut PgConnection,
    shift: i64,
    delivery: &Delivery,
) -> Result<Vec<Admission>, StoreError> {
    move_cursor(connection, shift, delivery).await?;
    if delivery.cursor.is_some() {
        cursor_history::sample(connection, shift, &delivery.channel).await?;
    }
    let mut new = remember(connection, shift, delivery).await?;
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
    keep(connection, shift, &delivery.channel, &dead_letters).await?;
    let mut admitted = admit(connection, shift, &jobs).await?.into_iter();
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

/// Advances the cursor if this term still leads. The row stays locked until the commit, so
/// that no other leader can come in between.
async fn move_cursor(
    connection: &mut PgConnection,
    shift: i64,
    delivery: &Delivery,
) -> Result<(), StoreError> {
    let newest = delivery.entries.iter().filter_map(|entry| match entry {
        Entry::Job(job) => Some(job.requested_at.as_millis()),
        Entry::DeadLetter(_) => None,
    });
    let led = statement(concat!(
        "UPDATE stream SET
             replay_id = coalesce($4, replay_id),
             committed_at = CASE WHEN $4 IS NULL THEN committed_at ELSE ",
        now!(),
        " END,
             lost = CASE WHEN $4 IS NULL THEN lost ELSE 0 END,
             last_event_at = coalesce($5, last_event_at)
         WHERE channel = $2 AND epoch = $3"
    ))
    .bind(shift)
    .bind(delivery.channel.as_str())
    .bind(delivery.epoch.number())
    .bind(
        delivery
            .cursor
            .as_ref()
            .map(|position| position.as_bytes().to_vec()),
    )
    .bind(newest.max())
    .execute(connection)
    .await
    .or_unavailable()?;
    match led.rows_affected() {
        0 => Err(StoreError::NotLeader),
        _ => Ok(()),
    }
}

/// Records the event ids and returns the new ones.
async fn remember(
    connection: &mut PgConnection,
    shift: i64,
    delivery: &Delivery,
) -> Result<HashSet<String>, StoreError> {
    let events: Vec<_> = delivery.entries.iter().filter_map(event).collect();
    if events.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = statement(concat!(
        "INSERT INTO inbox (channel, event_id, received_at)
         SELECT $2, event_id, ",
        now!(),
        " FROM unnest($3::text[]) AS event_id
         ON CONFLICT DO NOTHING RETURNING event_id"
    ))
    .bind(shift)
    .bind(delivery.channel.as_str())
    .bind(events)
    .fetch_all(connection)
    .await
    .or_unavailable()?;
    rows.iter().map(|row| row.text("event_id")).collect()
}

/// Takes the admission lock until the commit.
pub(crate) async fn wait_for_turn(connection: &mut PgConnection) -> Result<(), StoreError> {
    statement("SELECT pg_advisory_xact_lock($1)")
        .bind(ADMITTING)
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}

/// Decides on the requests one by one and enqueues the new ones.
pub(crate) async fn admit(
    connection: &mut PgConnection,
    shift: i64,
    jobs: &[&NewJob],
) -> Result<Vec<Admission>, StoreError> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    wait_for_turn(connection).await?;
    let orders: HashSet<_> = jobs.iter().map(|job| job.order.as_str()).collect();
    let rows = statement(
        "SELECT id, order_id, idem_key, state, requested_at FROM job
         WHERE order_id = ANY($1) ORDER BY order_id, seq",
    )
    .bind(orders.into_iter().collect::<Vec<_>>())
    .fetch_all(&mut *connection)
    .await
    .or_unavailable()?;
    let mut earlier = EarlierJobs::default();
    for found in &rows {
        earlier.add(
            row::order(found)?,
            JobId::new(found.text("id").unwrap_or_default()),
            found.maybe_text("idem_key")?.and_then(IdemKey::new),
            row::outcome(&found.text("state")?),
            found.maybe_time("requested_at")?.unwrap_or_default(),
        );
    }
    let admissions: Vec<_> = jobs.iter().map(|job| earlier.admit(job)).collect();
    let new: Vec<_> = jobs
        .iter()
        .zip(&admissions)
        .filter(|(_, admission)| **admission == Admission::Enqueued)
        .map(|(job, _)| *job)
        .collect();
    insert(connection, shift, &new).await?;
    Ok(admissions)
}

/// Enqueues the jobs in order and notifies listeners once per commit.
async fn insert(
    connection: &mut PgConnection,
    shift: i64,
    jobs: &[&NewJob],
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
    statement(concat!(
        "INSERT INTO job (id, order_id, source, event_id, idem_key, correlation, requested_by,
             requested_at, enqueued_at, due_at)
         SELECT id, order_id, source, event_id, idem_key, correlation, requested_by, requested_at,
             ",
        now!(),
        ", ",
        now!(),
        "
         FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                 $8::text[], $9::bigint[])
             WITH ORDINALITY AS new (id, order_id, source, event_id, idem_key, correlation,
                 requested_by, requested_at, place)
         ORDER BY place"
    ))
    .bind(shift)
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
    orders::asked_for(connection, shift, &column(|job| job.order.as_str())).await?;
    sqlx::raw_sql("NOTIFY orderbridge_job")
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}

async fn keep(
    connection: &mut PgConnection,
    shift: i64,
    channel: &Channel,
    dead_letters: &[&DeadLetter],
) -> Result<(), StoreError> {
    for dead_letter in dead_letters {
        statement(concat!(
            "INSERT INTO dead_letter (channel, event_id, replay_id, reason, detail, schema_id,
                 payload, fields, received_at)
             VALUES ($2, $3, $4, $5, $6, $7, $8, $9, ",
            now!(),
            ")"
        ))
        .bind(shift)
        .bind(channel.as_str())
        .bind(dead_letter.event.as_str())
        .bind(
            dead_letter
                .replay_id
                .as_ref()
                .map(|position| position.as_bytes().to_vec()),
        )
        .bind(dead_letter.undecodable.reason.name())
        .bind(dead_letter.undecodable.detail.as_str())
        .bind(dead_letter.undecodable.schema_id.as_str())
        .bind(dead_letter.undecodable.payload.as_slice())
        .bind(record::encode_fields(&dead_letter.undecodable.fields))
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    }
    Ok(())
}
