//! The history of a channel's cursor. Callers hold the channel's row until their commit.

use domain::key::Channel;
use domain::ports::{Epoch, Gap, StoreError};
use domain::time::Timestamp;
use operations::{CursorChange, CursorHistoryEntry};

use super::{Connection, for_update, statement};
use crate::error::OrUnavailable;
use crate::row::Columns;
use crate::view::limit;

/// Records the current position and deletes the oldest records.
pub(crate) async fn mark(
    connection: &mut Connection,
    channel: &Channel,
    kind: CursorChange,
    detail: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    statement(
        "INSERT INTO cursor_mark (channel, at, kind, replay_id, detail)
         VALUES ($1, $2, $3, (SELECT replay_id FROM stream WHERE channel = $1), $4)",
    )
    .bind(channel.as_str())
    .bind(now.as_millis())
    .bind(kind.name())
    .bind(detail)
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    statement(
        "DELETE FROM cursor_mark WHERE channel = $1 AND seq <= (
             SELECT seq FROM cursor_mark WHERE channel = $1 ORDER BY seq DESC LIMIT 1 OFFSET $2)",
    )
    .bind(channel.as_str())
    .bind(limit(CursorHistoryEntry::MAX_KEPT))
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

/// Records the loss of the cursor, once.
pub(crate) async fn lose(
    connection: &mut Connection,
    channel: Channel,
    epoch: Epoch,
    gap: Gap,
    now: Timestamp,
) -> Result<(), StoreError> {
    let led = statement(concat!(
        "SELECT lost FROM stream WHERE channel = $1 AND epoch = $2",
        for_update!()
    ))
    .bind(channel.as_str())
    .bind(epoch.number())
    .fetch_optional(&mut *connection)
    .await
    .or_unavailable()?;
    if led.ok_or(StoreError::NotLeader)?.int("lost")? == 1 {
        return Ok(());
    }
    statement("UPDATE stream SET lost = 1 WHERE channel = $1")
        .bind(channel.as_str())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    statement("INSERT INTO gap (channel, from_at, until_at, detail) VALUES ($1, $2, $3, $4)")
        .bind(channel.as_str())
        .bind(gap.from.map(Timestamp::as_millis))
        .bind(now.as_millis())
        .bind(gap.detail.as_str())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    mark(connection, &channel, CursorChange::Lost, &gap.detail, now).await
}

/// Samples an advanced position, at most once per interval.
pub(crate) async fn sample(
    connection: &mut Connection,
    channel: &Channel,
    now: Timestamp,
) -> Result<(), StoreError> {
    let recent = statement(
        "SELECT 1 FROM cursor_mark WHERE channel = $1 AND kind = 'sampled' AND at > $2 LIMIT 1",
    )
    .bind(channel.as_str())
    .bind((now - CursorHistoryEntry::EVERY).as_millis())
    .fetch_optional(&mut *connection)
    .await
    .or_unavailable()?;
    match recent {
        Some(_) => Ok(()),
        None => mark(connection, channel, CursorChange::Sampled, "", now).await,
    }
}
