//! Dead letters whose redrive an operator requested.

use domain::job::{Admission, NewJob};
use domain::key::{Channel, DeadLetterId};
use domain::ports::{DeadLetterView, Epoch, StoreError, Undecodable};
use sqlx::PgConnection;

use crate::damage::readable;
use crate::error::OrUnavailable;
use crate::postgres::accept::admit;
use crate::postgres::now;
use crate::postgres::transaction::statement;
use crate::record;
use crate::view::{self, limit};

pub(crate) async fn requested(
    connection: &mut PgConnection,
    channel: &Channel,
    count: usize,
) -> Result<Vec<DeadLetterView>, StoreError> {
    let rows = statement(
        "SELECT * FROM dead_letter
         WHERE channel = $1 AND asked_at IS NOT NULL AND closed_at IS NULL ORDER BY seq LIMIT $2",
    )
    .bind(channel.as_str())
    .bind(limit(count))
    .fetch_all(connection)
    .await
    .or_unavailable()?;
    readable(&rows, view::dead_letter)
}

pub(crate) async fn redrive(
    connection: &mut PgConnection,
    shift: i64,
    channel: &Channel,
    epoch: Epoch,
    dead_letter: DeadLetterId,
    read: &Result<NewJob, Undecodable>,
) -> Result<Admission, StoreError> {
    // The row stays locked until the commit, so that no other leader can come in between.
    let leads = statement("SELECT 1 FROM stream WHERE channel = $1 AND epoch = $2 FOR UPDATE")
        .bind(channel.as_str())
        .bind(epoch.number())
        .fetch_optional(&mut *connection)
        .await
        .or_unavailable()?;
    if leads.is_none() {
        return Err(StoreError::NotLeader);
    }
    let unreadable = read.as_ref().err();
    let waited = statement(concat!(
        "UPDATE dead_letter SET asked_at = NULL,
             closed_at = CASE WHEN $4 THEN ",
        now!(),
        " END,
             reason = coalesce($5, reason), detail = coalesce($6, detail),
             fields = CASE WHEN $5 IS NULL THEN fields ELSE $7 END
         WHERE seq = $2 AND channel = $3 AND asked_at IS NOT NULL AND closed_at IS NULL"
    ))
    .bind(shift)
    .bind(dead_letter.0)
    .bind(channel.as_str())
    .bind(read.is_ok())
    .bind(unreadable.map(|new| new.reason.name()))
    .bind(unreadable.map(|new| new.detail.as_str()))
    .bind(unreadable.and_then(|new| record::encode_fields(&new.fields)))
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    match read {
        _ if waited.rows_affected() == 0 => Ok(Admission::SameDelivery),
        Ok(job) => {
            let admitted = admit(connection, shift, &[job]).await?;
            Ok(admitted.into_iter().next().expect("one job was admitted"))
        }
        Err(_) => Ok(Admission::DeadLettered),
    }
}
