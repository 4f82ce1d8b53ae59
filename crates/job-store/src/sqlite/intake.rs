//! What the subscriber does with the store.

use std::time::Duration;

use async_trait::async_trait;
use domain::job::{Admission, EarlierJob, NewJob, admit};
use domain::key::{Channel, DeadLetterId, IdemKey, Owner};
use domain::ports::{
    Cursor, DeadLetter, DeadLetterView, Delivery, Entry, Epoch, EventIntake, Gap, LeaderElection,
    Leadership, StoreError, Undecodable,
};
use domain::time::Timestamp;
use operations::{
    AdminCommand, AdminCommands, Alert, AlertStore, AuditEntry, CommandResult, CursorChange,
    Pausable, Pause, ProcessRegistry, ProcessReport, ProcessView, Pruned, Pruner,
};
use sqlx::SqliteConnection;

use crate::damage::readable;
use crate::error::OrUnavailable;
use crate::record;
use crate::row::{self, Columns};
use crate::sqlite::admin_commands::{self, Operator};
use crate::sqlite::prune::prune;
use crate::sqlite::{SqliteStore, cursor_history, dead_letters, orders, process_registry};
use crate::view::{self, limit};

#[async_trait]
impl LeaderElection for SqliteStore {
    async fn lead(
        &self,
        channel: &Channel,
        owner: &Owner,
        ttl: Duration,
    ) -> Result<Leadership, StoreError> {
        let (channel, owner) = (channel.clone(), owner.clone());
        self.write_now(move |connection, now| {
            Box::pin(lead(connection, channel, owner, now, now + ttl))
        })
        .await
    }

    async fn resign(&self, channel: &Channel, owner: &Owner) -> Result<(), StoreError> {
        let (channel, owner) = (channel.clone(), owner.clone());
        self.writer
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE stream SET owner = NULL, lease_until = 0
                         WHERE channel = ?1 AND owner = ?2",
                    )
                    .bind(channel.as_str().to_owned())
                    .bind(owner.as_str().to_owned())
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
impl EventIntake for SqliteStore {
    async fn cursor(&self, channel: &Channel) -> Result<Option<Cursor>, StoreError> {
        let found = sqlx::query("SELECT replay_id, committed_at FROM stream WHERE channel = ?")
            .bind(channel.as_str().to_owned())
            .fetch_optional(&self.readers)
            .await
            .or_unavailable()?;
        found.as_ref().map_or(Ok(None), row::cursor)
    }

    async fn accept(&self, delivery: &Delivery) -> Result<Vec<Admission>, StoreError> {
        let delivery = delivery.clone();
        self.write_now(move |connection, now| Box::pin(accept(connection, delivery, now)))
            .await
    }

    async fn record_cursor_loss(
        &self,
        channel: &Channel,
        epoch: Epoch,
        gap: &Gap,
    ) -> Result<(), StoreError> {
        let (channel, gap) = (channel.clone(), gap.clone());
        self.write_now(move |connection, now| {
            Box::pin(
                async move { cursor_history::lose(connection, &channel, epoch, &gap, now).await },
            )
        })
        .await
    }

    async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Admission>, StoreError> {
        let jobs = jobs.to_vec();
        self.write_now(move |connection, now| {
            Box::pin(async move {
                let mut admissions = Vec::with_capacity(jobs.len());
                for job in &jobs {
                    admissions.push(admit_job(connection, job, now).await?);
                }
                Ok(admissions)
            })
        })
        .await
    }

    async fn requested_redrives(
        &self,
        channel: &Channel,
        limit: usize,
    ) -> Result<Vec<DeadLetterView>, StoreError> {
        dead_letters::requested(&self.readers, channel, limit).await
    }

    async fn redrive(
        &self,
        channel: &Channel,
        epoch: Epoch,
        dead_letter: DeadLetterId,
        read: &Result<NewJob, Undecodable>,
    ) -> Result<Admission, StoreError> {
        let (channel, read) = (channel.clone(), read.clone());
        self.write_now(move |connection, now| {
            Box::pin(async move {
                dead_letters::redrive(connection, &channel, epoch, dead_letter, &read, now).await
            })
        })
        .await
    }
}

#[async_trait]
impl AdminCommands for SqliteStore {
    async fn execute(
        &self,
        command: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> Result<CommandResult, StoreError> {
        let (command, who, reason) = (command.clone(), by.to_owned(), reason.to_owned());
        self.write_now(move |connection, now| {
            Box::pin(async move {
                let operator = Operator { who, reason, now };
                admin_commands::execute(connection, &command, &operator).await
            })
        })
        .await
    }

    async fn audit(&self, count: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = sqlx::query("SELECT * FROM audit ORDER BY seq DESC LIMIT ?")
            .bind(limit(count))
            .fetch_all(&self.readers)
            .await
            .or_unavailable()?;
        readable(&rows, view::audit)
    }

    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        let rows = sqlx::query("SELECT * FROM pause ORDER BY what")
            .fetch_all(&self.readers)
            .await
            .or_unavailable()?;
        readable(&rows, view::pause)
    }
}

#[async_trait]
impl Pruner for SqliteStore {
    async fn prune(&self, older_than: Duration) -> Result<Pruned, StoreError> {
        prune(self, older_than).await
    }
}

#[async_trait]
impl ProcessRegistry for SqliteStore {
    async fn report_process(&self, report: &ProcessReport) -> Result<(), StoreError> {
        process_registry::report(self, report).await
    }

    async fn retire_process(&self, id: &Owner) -> Result<(), StoreError> {
        process_registry::retire(self, id).await
    }

    async fn processes(&self) -> Result<Vec<ProcessView>, StoreError> {
        process_registry::processes(self).await
    }
}

#[async_trait]
impl AlertStore for SqliteStore {
    async fn save_alerts(
        &self,
        watch: &Channel,
        epoch: Epoch,
        alerts: &[Alert],
    ) -> Result<(), StoreError> {
        process_registry::keep(self, watch, epoch, alerts).await
    }

    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        process_registry::alerts(self).await
    }
}

async fn lead(
    connection: &mut SqliteConnection,
    channel: Channel,
    owner: Owner,
    now: Timestamp,
    until: Timestamp,
) -> Result<Leadership, StoreError> {
    let paused = sqlx::query("SELECT what, who, reason, since FROM pause WHERE what = ?")
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
    sqlx::query("INSERT INTO stream (channel) VALUES (?) ON CONFLICT DO NOTHING")
        .bind(channel.as_str().to_owned())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    let before = sqlx::query("SELECT epoch FROM stream WHERE channel = ?")
        .bind(channel.as_str().to_owned())
        .fetch_one(&mut *connection)
        .await
        .or_unavailable()?
        .int("epoch")?;
    // A leader that renews in time keeps its term; anyone else starts a new one.
    sqlx::query(
        "UPDATE stream SET
             epoch = CASE WHEN owner = ?2 AND lease_until > ?3 THEN epoch ELSE epoch + 1 END,
             owner = ?2, lease_until = ?4
         WHERE channel = ?1 AND (owner IS NULL OR owner = ?2 OR lease_until <= ?3)",
    )
    .bind(channel.as_str().to_owned())
    .bind(owner.as_str().to_owned())
    .bind(now.as_millis())
    .bind(until.as_millis())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    let found = sqlx::query("SELECT owner, epoch, lease_until FROM stream WHERE channel = ?")
        .bind(channel.as_str().to_owned())
        .fetch_one(&mut *connection)
        .await
        .or_unavailable()?;
    let leader = found.maybe_text("owner")?;
    let epoch = found.int("epoch")?;
    if epoch != before {
        let detail = format!("{owner} leads, term {epoch}");
        cursor_history::mark(connection, &channel, CursorChange::Term, &detail, now).await?;
    }
    Ok(if leader.as_deref() == Some(owner.as_str()) {
        Leadership::Leader(Epoch::from_number(epoch))
    } else {
        Leadership::Standby {
            until: found.time("lease_until")?,
        }
    })
}

async fn accept(
    connection: &mut SqliteConnection,
    delivery: Delivery,
    now: Timestamp,
) -> Result<Vec<Admission>, StoreError> {
    let newest = delivery.entries.iter().filter_map(|entry| match entry {
        Entry::Job(job) => Some(job.requested_at.as_millis()),
        Entry::DeadLetter(_) => None,
    });
    // The term is compared in the same transaction that moves the cursor.
    let led = sqlx::query(
        "UPDATE stream SET
             replay_id = coalesce(?3, replay_id),
             committed_at = CASE WHEN ?3 IS NULL THEN committed_at ELSE ?4 END,
             lost = CASE WHEN ?3 IS NULL THEN lost ELSE 0 END,
             last_event_at = coalesce(?5, last_event_at)
         WHERE channel = ?1 AND epoch = ?2",
    )
    .bind(delivery.channel.as_str().to_owned())
    .bind(delivery.epoch.number())
    .bind(
        delivery
            .cursor
            .as_ref()
            .map(|position| position.as_bytes().to_vec()),
    )
    .bind(now.as_millis())
    .bind(newest.max())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    if led.rows_affected() == 0 {
        return Err(StoreError::NotLeader);
    }
    if delivery.cursor.is_some() {
        cursor_history::sample(connection, &delivery.channel, now).await?;
    }
    let mut admissions = Vec::with_capacity(delivery.entries.len());
    for entry in &delivery.entries {
        let event = match entry {
            Entry::Job(job) => job.event.as_ref(),
            Entry::DeadLetter(dead_letter) => Some(&dead_letter.event),
        };
        if let Some(event) = event {
            let new = sqlx::query(
                "INSERT INTO inbox (channel, event_id, received_at) VALUES (?, ?, ?)
                 ON CONFLICT DO NOTHING",
            )
            .bind(delivery.channel.as_str().to_owned())
            .bind(event.as_str().to_owned())
            .bind(now.as_millis())
            .execute(&mut *connection)
            .await
            .or_unavailable()?;
            if new.rows_affected() == 0 {
                admissions.push(Admission::SameDelivery);
                continue;
            }
        }
        admissions.push(match entry {
            Entry::Job(job) => admit_job(connection, job, now).await?,
            Entry::DeadLetter(dead_letter) => {
                keep(connection, &delivery.channel, dead_letter, now).await?
            }
        });
    }
    Ok(admissions)
}

pub(crate) async fn admit_job(
    connection: &mut SqliteConnection,
    job: &NewJob,
    at: Timestamp,
) -> Result<Admission, StoreError> {
    let rows = sqlx::query(
        "SELECT id, idem_key, state, requested_at FROM job WHERE order_id = ? ORDER BY seq",
    )
    .bind(job.order.as_str().to_owned())
    .fetch_all(&mut *connection)
    .await
    .or_unavailable()?;
    let mut earlier = Vec::with_capacity(rows.len());
    for found in &rows {
        // One that cannot be read is no new job's.
        if found.text("id").unwrap_or_default() == job.id.as_str() {
            return Ok(Admission::SameDelivery);
        }
        let key = found.maybe_text("idem_key")?.and_then(IdemKey::new);
        let outcome = row::outcome(&found.text("state")?);
        earlier.push((key, outcome, found.time("requested_at")?));
    }
    let earlier: Vec<_> = earlier
        .iter()
        .map(|(idem_key, outcome, requested_at)| EarlierJob {
            idem_key: idem_key.as_ref(),
            outcome: *outcome,
            requested_at: *requested_at,
        })
        .collect();
    let admission = admit(job, &earlier);
    if admission == Admission::Enqueued {
        insert(connection, job, at).await?;
        orders::asked_for(connection, job.order, at).await?;
    }
    Ok(admission)
}

async fn insert(
    connection: &mut SqliteConnection,
    job: &NewJob,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO job (id, order_id, source, event_id, idem_key, correlation, requested_by,
             requested_at, enqueued_at, due_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9)",
    )
    .bind(job.id.as_str().to_owned())
    .bind(job.order.as_str().to_owned())
    .bind(job.source.name())
    .bind(job.event.as_ref().map(|event| event.as_str().to_owned()))
    .bind(job.idem_key.as_ref().map(|key| key.as_str().to_owned()))
    .bind(job.correlation.as_str().to_owned())
    .bind(job.requested_by.clone())
    .bind(job.requested_at.as_millis())
    .bind(at.as_millis())
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

async fn keep(
    connection: &mut SqliteConnection,
    channel: &Channel,
    dead_letter: &DeadLetter,
    at: Timestamp,
) -> Result<Admission, StoreError> {
    sqlx::query(
        "INSERT INTO dead_letter (channel, event_id, replay_id, reason, detail, schema_id, payload,
             received_at, fields)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(channel.as_str().to_owned())
    .bind(dead_letter.event.as_str().to_owned())
    .bind(
        dead_letter
            .replay_id
            .as_ref()
            .map(|position| position.as_bytes().to_vec()),
    )
    .bind(dead_letter.undecodable.reason.name())
    .bind(dead_letter.undecodable.detail.clone())
    .bind(dead_letter.undecodable.schema_id.clone())
    .bind(dead_letter.undecodable.payload.clone())
    .bind(at.as_millis())
    .bind(record::encode_fields(&dead_letter.undecodable.fields))
    .execute(connection)
    .await
    .or_unavailable()?;
    Ok(Admission::DeadLettered)
}
