//! Leadership of a channel, by a lease with an epoch.

use std::time::Duration;

use async_trait::async_trait;
use domain::key::{Channel, Owner};
use domain::ports::{Epoch, LeaderElection, Leadership, StoreError};
use domain::time::Timestamp;
use operations::{CursorChange, Pausable};

use super::cursor_history::mark;
use super::{Connection, Store, for_update, statement};
use crate::error::OrUnavailable;
use crate::row::Columns;
use crate::store::Commit;
use crate::view;

#[async_trait]
impl LeaderElection for Store {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError> {
        let data = (channel.clone(), owner.clone(), ttl);
        self.change(Commit::Flushed, data, |connection, data, now| {
            let (channel, owner, ttl) = data;
            Box::pin(lead(connection, channel, owner, now, now + ttl))
        })
        .await
    }

    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError> {
        let data = (channel.clone(), owner.clone());
        self.change(Commit::Flushed, data, |connection, (channel, owner), _| {
            Box::pin(async move {
                statement(
                    "UPDATE stream SET owner = NULL, lease_until = 0
                     WHERE channel = $1 AND owner = $2",
                )
                .bind(channel.as_str())
                .bind(owner.as_str())
                .execute(connection)
                .await
                .or_unavailable()
                .map(|_| ())
            })
        })
        .await
    }
}

async fn lead(
    connection: &mut Connection,
    channel: Channel,
    owner: Owner,
    now: Timestamp,
    until: Timestamp,
) -> Result<Leadership, StoreError> {
    let paused = statement("SELECT what, who, reason, since FROM pause WHERE what = $1")
        .bind(Pausable::Intake(channel.clone()).to_string())
        .fetch_optional(&mut *connection)
        .await
        .or_unavailable()?;
    if let Some(found) = &paused {
        let pause = view::pause(found)?;
        return Ok(Leadership::Paused {
            by: pause.by,
            reason: pause.reason,
            since: pause.since,
        });
    }
    statement("INSERT INTO stream (channel) VALUES ($1) ON CONFLICT DO NOTHING")
        .bind(channel.as_str())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    let before = statement(concat!(
        "SELECT epoch FROM stream WHERE channel = $1",
        for_update!()
    ))
    .bind(channel.as_str())
    .fetch_one(&mut *connection)
    .await
    .or_unavailable()?
    .int("epoch")?;
    // A leader that renews in time keeps its epoch; anyone else starts a new one.
    statement(
        "UPDATE stream SET
             epoch = CASE WHEN owner = $2 AND lease_until > $3 THEN epoch ELSE epoch + 1 END,
             owner = $2, lease_until = $4
         WHERE channel = $1 AND (owner IS NULL OR owner = $2 OR lease_until <= $3)",
    )
    .bind(channel.as_str())
    .bind(owner.as_str())
    .bind(now.as_millis())
    .bind(until.as_millis())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    let found = statement("SELECT owner, epoch, lease_until FROM stream WHERE channel = $1")
        .bind(channel.as_str())
        .fetch_one(&mut *connection)
        .await
        .or_unavailable()?;
    let epoch = found.int("epoch")?;
    if epoch != before {
        let detail = format!("{owner} leads, term {epoch}");
        mark(connection, &channel, CursorChange::Term, &detail, now).await?;
    }
    match found.maybe_text("owner")?.as_deref() == Some(owner.as_str()) {
        true => Ok(Leadership::Leader(Epoch::from_number(epoch))),
        false => Ok(Leadership::Standby {
            until: found.time("lease_until")?,
        }),
    }
}
