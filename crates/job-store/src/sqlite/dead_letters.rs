//! Dead letters whose redrive an operator requested.

use domain::job::{Admission, NewJob};
use domain::key::{Channel, DeadLetterId};
use domain::ports::{DeadLetterView, Epoch, StoreError, Undecodable};
use domain::time::Timestamp;
use sqlx::{SqliteConnection, SqlitePool};

use crate::damage::readable;
use crate::error::OrUnavailable;
use crate::record;
use crate::sqlite::intake::admit_job;
use crate::view::{self, limit};

pub(crate) async fn requested(
    readers: &SqlitePool,
    channel: &Channel,
    count: usize,
) -> Result<Vec<DeadLetterView>, StoreError> {
    let rows = sqlx::query(
        "SELECT * FROM dead_letter
         WHERE channel = ? AND asked_at IS NOT NULL AND closed_at IS NULL ORDER BY seq LIMIT ?",
    )
    .bind(channel.as_str().to_owned())
    .bind(limit(count))
    .fetch_all(readers)
    .await
    .or_unavailable()?;
    readable(&rows, view::dead_letter)
}

pub(crate) async fn redrive(
    connection: &mut SqliteConnection,
    channel: &Channel,
    epoch: Epoch,
    dead_letter: DeadLetterId,
    read: &Result<NewJob, Undecodable>,
    now: Timestamp,
) -> Result<Admission, StoreError> {
    let leads = sqlx::query("SELECT 1 FROM stream WHERE channel = ? AND epoch = ?")
        .bind(channel.as_str().to_owned())
        .bind(epoch.number())
        .fetch_optional(&mut *connection)
        .await
        .or_unavailable()?;
    if leads.is_none() {
        return Err(StoreError::NotLeader);
    }
    let unreadable = read.as_ref().err();
    let waited = sqlx::query(
        "UPDATE dead_letter SET asked_at = NULL, closed_at = ?3,
             reason = coalesce(?4, reason), detail = coalesce(?5, detail),
             fields = CASE WHEN ?4 IS NULL THEN fields ELSE ?6 END
         WHERE seq = ?1 AND channel = ?2 AND asked_at IS NOT NULL AND closed_at IS NULL",
    )
    .bind(dead_letter.0)
    .bind(channel.as_str().to_owned())
    .bind(read.is_ok().then_some(now.as_millis()))
    .bind(unreadable.map(|new| new.reason.name()))
    .bind(unreadable.map(|new| new.detail.clone()))
    .bind(unreadable.and_then(|new| record::encode_fields(&new.fields)))
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    match read {
        _ if waited.rows_affected() == 0 => Ok(Admission::SameDelivery),
        Ok(job) => admit_job(connection, job, now).await,
        Err(_) => Ok(Admission::DeadLettered),
    }
}
