//! The history of a channel's cursor.

use domain::key::Channel;
use domain::ports::{Epoch, Gap, StoreError};
use domain::time::Timestamp;
use operations::{CursorChange, CursorHistoryEntry};
use sqlx::PgConnection;

use crate::error::OrUnavailable;
use crate::postgres::intake::millis;
use crate::postgres::now;
use crate::postgres::transaction::statement;
use crate::row::Columns;
use crate::view::{self, limit};

/// Records the current position and deletes the oldest records. The caller
/// holds the channel's row.
pub(crate) async fn mark(
    connection: &mut PgConnection,
    shift: i64,
    channel: &Channel,
    kind: CursorChange,
    detail: &str,
) -> Result<(), StoreError> {
    statement(concat!(
        "INSERT INTO cursor_mark (channel, at, kind, replay_id, detail)
         VALUES ($2, ",
        now!(),
        ", $3, (SELECT replay_id FROM stream WHERE channel = $2), $4)"
    ))
    .bind(shift)
    .bind(channel.as_str())
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
    connection: &mut PgConnection,
    shift: i64,
    channel: &Channel,
    epoch: Epoch,
    gap: &Gap,
) -> Result<(), StoreError> {
    // The row stays locked until the commit, so that the term is ours until then.
    let led = statement("SELECT lost FROM stream WHERE channel = $1 AND epoch = $2 FOR UPDATE")
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
    statement(concat!(
        "INSERT INTO gap (channel, from_at, until_at, detail) VALUES ($2, $3, ",
        now!(),
        ", $4)"
    ))
    .bind(shift)
    .bind(channel.as_str())
    .bind(gap.from.map(Timestamp::as_millis))
    .bind(gap.detail.as_str())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    mark(connection, shift, channel, CursorChange::Lost, &gap.detail).await
}

/// Samples an advanced position, at most once per interval.
pub(crate) async fn sample(
    connection: &mut PgConnection,
    shift: i64,
    channel: &Channel,
) -> Result<(), StoreError> {
    let recent = statement(concat!(
        "SELECT 1 FROM cursor_mark
         WHERE channel = $2 AND kind = 'sampled' AND at > ",
        now!(),
        " - $3 LIMIT 1"
    ))
    .bind(shift)
    .bind(channel.as_str())
    .bind(millis(CursorHistoryEntry::EVERY))
    .fetch_optional(&mut *connection)
    .await
    .or_unavailable()?;
    match recent {
        Some(_) => Ok(()),
        None => mark(connection, shift, channel, CursorChange::Sampled, "").await,
    }
}

pub(crate) async fn history(
    connection: &mut PgConnection,
    channel: &Channel,
    count: usize,
) -> Result<Vec<CursorHistoryEntry>, StoreError> {
    let rows = statement("SELECT * FROM cursor_mark WHERE channel = $1 ORDER BY seq DESC LIMIT $2")
        .bind(channel.as_str())
        .bind(limit(count))
        .fetch_all(connection)
        .await
        .or_unavailable()?;
    rows.iter().map(view::mark).collect()
}
