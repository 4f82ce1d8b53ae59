//! What the subscriber does with the store.

use async_trait::async_trait;
use domain::job::{Admission, NewJob};
use domain::key::{Channel, DeadLetterId};
use domain::ports::{
    Cursor, DeadLetter, DeadLetterView, Delivery, Entry, Epoch, EventIntake, Gap, StoreError,
    Undecodable,
};
use domain::time::Timestamp;

use super::accept::{accept, admit};
use super::{Connection, Store, cursor_history, for_update, statement};
use crate::damage::readable;
use crate::error::OrUnavailable;
use crate::store::Commit;
use crate::view::{self, limit};
use crate::{record, row};

#[async_trait]
impl EventIntake for Store {
    async fn cursor(&self, channel: &Channel) -> Result<Option<Cursor>, StoreError> {
        let rows = self.rows(|_| {
            statement("SELECT replay_id, committed_at FROM stream WHERE channel = $1")
                .bind(channel.as_str())
        });
        rows.await?.first().map_or(Ok(None), row::cursor)
    }

    async fn accept(&self, delivery: &Delivery) -> Result<Vec<Admission>, StoreError> {
        self.change(
            Commit::Announced,
            delivery.clone(),
            |connection, delivery, now| {
                Box::pin(async move { accept(connection, &delivery, now).await })
            },
        )
        .await
    }

    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> Result<(), StoreError> {
        let data = (channel.clone(), epoch, gap.clone());
        self.change(
            Commit::Flushed,
            data,
            |connection, (channel, epoch, gap), now| {
                Box::pin(cursor_history::lose(connection, channel, epoch, gap, now))
            },
        )
        .await
    }

    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Admission>, StoreError> {
        self.change(Commit::Announced, jobs.to_vec(), |connection, jobs, now| {
            Box::pin(async move { admit(connection, &jobs.iter().collect::<Vec<_>>(), now).await })
        })
        .await
    }

    async fn requested_redrives(
        &self,
        channel: &Channel,
        count: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        let rows = self.rows(|_| {
            statement(
                "SELECT * FROM dead_letter
                 WHERE channel = $1 AND asked_at IS NOT NULL AND closed_at IS NULL
                 ORDER BY seq LIMIT $2",
            )
            .bind(channel.as_str())
            .bind(limit(count))
        });
        readable(&rows.await?, view::dead_letter)
    }

    async fn redrive(
        &self,
        channel: &Channel,
        epoch: Epoch,
        dead_letter: DeadLetterId,
        read: &Result<NewJob, Undecodable>,
    ) -> Result<Admission, StoreError> {
        let data = (channel.clone(), epoch, dead_letter, read.clone());
        self.change(Commit::Announced, data, |connection, data, now| {
            Box::pin(redrive(connection, data, now))
        })
        .await
    }
}

async fn redrive(
    connection: &mut Connection,
    (channel, epoch, dead_letter, read): (
        Channel,
        Epoch,
        DeadLetterId,
        Result<NewJob, Undecodable>,
    ),
    now: Timestamp,
) -> Result<Admission, StoreError> {
    // The row stays locked until the commit, so that no other leader can come in between.
    let leads = statement(concat!(
        "SELECT 1 FROM stream WHERE channel = $1 AND epoch = $2",
        for_update!()
    ))
    .bind(channel.as_str())
    .bind(epoch.number())
    .fetch_optional(&mut *connection)
    .await
    .or_unavailable()?;
    if leads.is_none() {
        return Err(StoreError::NotLeader);
    }
    let unreadable = read.as_ref().err();
    let waited = statement(
        "UPDATE dead_letter SET asked_at = NULL, closed_at = $3,
             reason = coalesce($4, reason), detail = coalesce($5, detail),
             fields = CASE WHEN $4 IS NULL THEN fields ELSE $6 END
         WHERE seq = $1 AND channel = $2 AND asked_at IS NOT NULL AND closed_at IS NULL",
    )
    .bind(dead_letter.0)
    .bind(channel.as_str())
    .bind(read.is_ok().then_some(now.as_millis()))
    .bind(unreadable.map(|new| new.reason.name()))
    .bind(unreadable.map(|new| new.detail.as_str()))
    .bind(unreadable.and_then(|new| record::encode_fields(&new.fields)))
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    match &read {
        _ if waited.rows_affected() == 0 => Ok(Admission::SameDelivery),
        Ok(job) => {
            let admitted = admit(connection, &[job], now).await?;
            Ok(admitted.into_iter().next().expect("one job was admitted"))
        }
        Err(_) => Ok(Admission::DeadLettered),
    }
}

/// Advances the cursor if this epoch still leads. The row stays locked until the commit, so that no
/// other leader can come in between.
pub(crate) async fn move_cursor(
    connection: &mut Connection,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<(), StoreError> {
    let newest = delivery.entries.iter().filter_map(|entry| match entry {
        Entry::Job(job) => Some(job.requested_at.as_millis()),
        Entry::DeadLetter(_) => None,
    });
    let cursor = delivery.cursor.as_ref();
    let led = statement(
        "UPDATE stream SET
             replay_id = coalesce($3, replay_id),
             committed_at = CASE WHEN $3 IS NULL THEN committed_at ELSE $4 END,
             lost = CASE WHEN $3 IS NULL THEN lost ELSE 0 END,
             last_event_at = coalesce($5, last_event_at)
         WHERE channel = $1 AND epoch = $2",
    )
    .bind(delivery.channel.as_str())
    .bind(delivery.epoch.number())
    .bind(cursor.map(|position| position.as_bytes().to_vec()))
    .bind(now.as_millis())
    .bind(newest.max())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    if led.rows_affected() == 0 {
        return Err(StoreError::NotLeader);
    }
    match cursor {
        Some(_) => cursor_history::sample(connection, &delivery.channel, now).await,
        None => Ok(()),
    }
}

pub(crate) async fn keep_dead_letter(
    connection: &mut Connection,
    channel: &Channel,
    dead_letter: &DeadLetter,
    now: Timestamp,
) -> Result<(), StoreError> {
    let position = dead_letter.replay_id.as_ref();
    let undecodable = &dead_letter.undecodable;
    statement(
        "INSERT INTO dead_letter (channel, event_id, replay_id, reason, detail, schema_id, payload,
             received_at, fields)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(channel.as_str())
    .bind(dead_letter.event.as_str())
    .bind(position.map(|position| position.as_bytes().to_vec()))
    .bind(undecodable.reason.name())
    .bind(undecodable.detail.as_str())
    .bind(undecodable.schema_id.as_str())
    .bind(undecodable.payload.as_slice())
    .bind(now.as_millis())
    .bind(record::encode_fields(&undecodable.fields))
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}
