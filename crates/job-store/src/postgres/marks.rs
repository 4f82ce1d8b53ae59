//! Where a channel's position was.

use domain::key::Channel;
use domain::ports::{CursorMark, MarkKind, StoreError};
use sqlx::PgConnection;

use crate::error::OrUnavailable;
use crate::postgres::intake::millis;
use crate::postgres::now;
use crate::postgres::transaction::statement;
use crate::view::{self, limit};

/// Remembers the position as it stands in this transaction, and forgets the oldest. The caller
/// holds the channel's row.
pub(crate) async fn mark(
    connection: &mut PgConnection,
    shift: i64,
    channel: &Channel,
    kind: MarkKind,
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
    .bind(limit(CursorMark::KEPT))
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

/// Remembers a position that moved, unless it was sampled a short while ago.
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
    .bind(millis(CursorMark::EVERY))
    .fetch_optional(&mut *connection)
    .await
    .or_unavailable()?;
    match recent {
        Some(_) => Ok(()),
        None => mark(connection, shift, channel, MarkKind::Sampled, "").await,
    }
}

pub(crate) async fn history(
    connection: &mut PgConnection,
    channel: &Channel,
    count: usize,
) -> Result<Vec<CursorMark>, StoreError> {
    let rows = statement("SELECT * FROM cursor_mark WHERE channel = $1 ORDER BY seq DESC LIMIT $2")
        .bind(channel.as_str())
        .bind(limit(count))
        .fetch_all(connection)
        .await
        .or_unavailable()?;
    rows.iter().map(view::mark).collect()
}
