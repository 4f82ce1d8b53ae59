//! The history of a channel's cursor.

use domain::key::Channel;
use domain::ports::{Epoch, Gap, StoreError};
use domain::time::Timestamp;
use operations::{CursorChange, CursorHistoryEntry};
use sqlx::{SqliteConnection, SqlitePool};

use crate::error::OrUnavailable;
use crate::row::Columns;
use crate::view::{self, limit};

/// Records the current position and deletes the oldest records.
pub(crate) async fn mark(
    connection: &mut SqliteConnection,
    channel: &Channel,
    kind: CursorChange,
    detail: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO cursor_mark (channel, at, kind, replay_id, detail)
         VALUES (?1, ?2, ?3, (SELECT replay_id FROM stream WHERE channel = ?1), ?4)",
    )
    .bind(channel.as_str().to_owned())
    .bind(now.as_millis())
    .bind(kind.name())
    .bind(detail.to_owned())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    sqlx::query(
        "DELETE FROM cursor_mark WHERE channel = ?1 AND seq <= (
             SELECT seq FROM cursor_mark WHERE channel = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
    )
    .bind(channel.as_str().to_owned())
    .bind(limit(CursorHistoryEntry::MAX_KEPT))
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

/// Records the loss of the cursor, once.
pub(crate) async fn lose(
    connection: &mut SqliteConnection,
    channel: &Channel,
    epoch: Epoch,
    gap: &Gap,
    now: Timestamp,
) -> Result<(), StoreError> {
    let led = sqlx::query("SELECT lost FROM stream WHERE channel = ? AND epoch = ?")
        .bind(channel.as_str().to_owned())
        .bind(epoch.number())
        .fetch_optional(&mut *connection)
        .await
        .or_unavailable()?;
    if led.ok_or(StoreError::NotLeader)?.int("lost")? == 1 {
        return Ok(());
    }
    sqlx::query("UPDATE stream SET lost = 1 WHERE channel = ?")
        .bind(channel.as_str().to_owned())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    sqlx::query("INSERT INTO gap (channel, from_at, until_at, detail) VALUES (?, ?, ?, ?)")
        .bind(channel.as_str().to_owned())
        .bind(gap.from.map(Timestamp::as_millis))
        .bind(now.as_millis())
        .bind(gap.detail.clone())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    mark(connection, channel, CursorChange::Lost, &gap.detail, now).await
}

/// Samples an advanced position, at most once per interval.
pub(crate) async fn sample(
    connection: &mut SqliteConnection,
    channel: &Channel,
    now: Timestamp,
) -> Result<(), StoreError> {
    let recent = sqlx::query(
        "SELECT 1 FROM cursor_mark WHERE channel = ? AND kind = 'sampled' AND at > ? LIMIT 1",
    )
    .bind(channel.as_str().to_owned())
    .bind((now - CursorHistoryEntry::EVERY).as_millis())
    .fetch_optional(&mut *connection)
    .await
    .or_unavailable()?;
    match recent {
        Some(_) => Ok(()),
        None => mark(connection, channel, CursorChange::Sampled, "", now).await,
    }
}

pub(crate) async fn history(
    readers: &SqlitePool,
    channel: &Channel,
    count: usize,
) -> Result<Vec<CursorHistoryEntry>, StoreError> {
    let rows = sqlx::query("SELECT * FROM cursor_mark WHERE channel = ? ORDER BY seq DESC LIMIT ?")
        .bind(channel.as_str().to_owned())
        .bind(limit(count))
        .fetch_all(readers)
        .await
        .or_unavailable()?;
    rows.iter().map(view::mark).collect()
}
