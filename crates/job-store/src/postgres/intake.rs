//! What the subscriber does with the store.

use std::time::Duration;

use async_trait::async_trait;
use domain::job::{Admission, NewJob};
use domain::key::{Channel, DeadLetterId, Owner};
use domain::ports::{
    Cursor, DeadLetterView, Delivery, Epoch, EventIntake, Gap, LeaderElection, Leadership,
    StoreError, Undecodable,
};
use operations::{
    AdminCommand, AdminCommands, Alert, AlertStore, AuditEntry, CommandResult, CursorChange,
    Pausable, Pause, ProcessRegistry, ProcessReport, ProcessView, Pruned, Pruner,
};
use sqlx::PgConnection;

use crate::damage::readable;
use crate::error::OrUnavailable;
use crate::postgres::accept::{accept, admit};
use crate::postgres::prune::prune;
use crate::postgres::transaction::{Commit, statement};
use crate::postgres::{
    PostgresStore, admin_commands, cursor_history, dead_letters, now, process_registry,
};
use crate::row::{self, Columns};
use crate::view::{self, limit};

#[async_trait]
impl LeaderElection for PostgresStore {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError> {
        self.run(Commit::Flushed, move |session| {
            Box::pin(lead(session.connection, session.shift, channel, owner, ttl))
        })
        .await
    }

    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError> {
        self.run(Commit::Flushed, move |session| {
            Box::pin(async move {
                let (connection, _) = session.parts();
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

#[async_trait]
impl EventIntake for PostgresStore {
    async fn cursor(&self, channel: &Channel) -> Result<Option<Cursor>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(async move {
                let (connection, _) = session.parts();
                let found =
                    statement("SELECT replay_id, committed_at FROM stream WHERE channel = $1")
                        .bind(channel.as_str())
                        .fetch_optional(connection)
                        .await
                        .or_unavailable()?;
                found.as_ref().map_or(Ok(None), row::cursor)
            })
        })
        .await
    }

    async fn accept(&self, delivery: &Delivery) -> Result<Vec<Admission>, StoreError> {
        self.run(Commit::Flushed, move |session| {
            Box::pin(accept(session.connection, session.shift, delivery))
        })
        .await
    }

    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> Result<(), StoreError> {
        self.run(Commit::Flushed, move |session| {
            let (connection, shift) = session.parts();
            Box::pin(cursor_history::lose(connection, shift, channel, epoch, gap))
        })
        .await
    }

    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Admission>, StoreError> {
        self.run(Commit::Flushed, move |session| {
            Box::pin(async move {
                let (connection, shift) = session.parts();
                let jobs: Vec<_> = jobs.iter().collect();
                admit(connection, shift, &jobs).await
            })
        })
        .await
    }

    async fn requested_redrives(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(dead_letters::requested(session.connection, channel, limit))
        })
        .await
    }

    async fn redrive(
        &self,
        channel: &Channel,
        epoch: Epoch,
        dead_letter: DeadLetterId,
        read: &Result<NewJob, Undecodable>,
    ) -> Result<Admission, StoreError> {
        self.run(Commit::Flushed, move |session| {
            Box::pin(dead_letters::redrive(
                session.connection,
                session.shift,
                channel,
                epoch,
                dead_letter,
                read,
            ))
        })
        .await
    }
}

#[async_trait]
impl AdminCommands for PostgresStore {
    async fn execute(
        &self,
        command: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> Result<CommandResult, StoreError> {
        self.run(Commit::Flushed, move |session| {
            Box::pin(admin_commands::execute(
                session.connection,
                session.shift,
                command,
                by,
                reason,
            ))
        })
        .await
    }

    async fn audit(&self, count: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let text = "SELECT * FROM audit ORDER BY seq DESC LIMIT $1";
        let rows = self.rows(|| statement(text).bind(limit(count))).await?;
        readable(&rows, view::audit)
    }

    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        let rows = self.rows(|| statement("SELECT * FROM pause ORDER BY what"));
        readable(&rows.await?, view::pause)
    }
}

#[async_trait]
impl Pruner for PostgresStore {
    async fn prune(&self, older_than: Duration) -> Result<Pruned, StoreError> {
        prune(self, older_than).await
    }
}

#[async_trait]
impl ProcessRegistry for PostgresStore {
    async fn report_process(&self, report: &ProcessReport) -> Result<(), StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(process_registry::report(
                session.connection,
                session.shift,
                report,
            ))
        })
        .await
    }

    async fn retire_process(&self, id: &Owner) -> Result<(), StoreError> {
        self.run(Commit::Relaxed, move |session| {
            let (connection, _) = session.parts();
            Box::pin(process_registry::retire(connection, id))
        })
        .await
    }

    async fn processes(&self) -> Result<Vec<ProcessView>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            Box::pin(process_registry::processes(
                session.connection,
                session.shift,
            ))
        })
        .await
    }
}

#[async_trait]
impl AlertStore for PostgresStore {
    async fn save_alerts(
        &self,
        watch: &Channel,
        epoch: Epoch,
        alerts: &[Alert],
    ) -> Result<(), StoreError> {
        self.run(Commit::Flushed, move |session| {
            let (connection, _) = session.parts();
            Box::pin(process_registry::keep(connection, watch, epoch, alerts))
        })
        .await
    }

    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.run(Commit::Relaxed, move |session| {
            let (connection, _) = session.parts();
            Box::pin(process_registry::alerts(connection))
        })
        .await
    }
}

async fn lead(
    connection: &mut PgConnection,
    shift: i64,
    channel: &Channel,
    owner: &Owner,
    ttl: Duration,
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
    let before = statement("SELECT epoch FROM stream WHERE channel = $1 FOR UPDATE")
        .bind(channel.as_str())
        .fetch_one(&mut *connection)
        .await
        .or_unavailable()?
        .int("epoch")?;
    // A leader that renews in time keeps its term; anyone else starts a new one.
    statement(concat!(
        "UPDATE stream SET
             epoch = CASE WHEN owner = $3 AND lease_until > ",
        now!(),
        " THEN epoch ELSE epoch + 1 END,
             owner = $3, lease_until = ",
        now!(),
        " + $4
         WHERE channel = $2 AND (owner IS NULL OR owner = $3 OR lease_until <= ",
        now!(),
        ")"
    ))
    .bind(shift)
    .bind(channel.as_str())
    .bind(owner.as_str())
    .bind(millis(ttl))
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
        cursor_history::mark(connection, shift, channel, CursorChange::Term, &detail).await?;
    }
    Ok(
        if found.maybe_text("owner")?.as_deref() == Some(owner.as_str()) {
            Leadership::Leader(Epoch::from_number(epoch))
        } else {
            Leadership::Standby {
                until: found.time("lease_until")?,
            }
        },
    )
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
