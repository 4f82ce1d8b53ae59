//! Operators' commands, each with its audit log entry.

use async_trait::async_trait;
use domain::id::OrderId;
use domain::key::{Channel, JobId, ReplayId, WhmcsOrderId};
use domain::order::{Fact, RetryAnswer};
use domain::ports::StoreError;
use domain::time::Timestamp;
use operations::{
    AdminCommand, AdminCommands, AuditEntry, CommandResult, CursorChange, Pausable, Pause,
};

use super::{Connection, Store, cursor_history, for_update, lock_admission, statement};
use crate::damage::readable;
use crate::error::OrUnavailable;
use crate::list::{self, moved_on};
use crate::record;
use crate::row::Columns;
use crate::store::Commit;
use crate::view::{self, limit};

/// Operator, reason and time of a command.
struct Operator {
    who: String,
    reason: String,
    now: Timestamp,
}

#[async_trait]
impl AdminCommands for Store {
    async fn execute(
        &self,
        command: &AdminCommand,
        by: &str,
        reason: &str,
    ) -> Result<CommandResult, StoreError> {
        let data = (command.clone(), by.to_owned(), reason.to_owned());
        self.change(Commit::Announced, data, |connection, data, now| {
            let (command, who, reason) = data;
            let operator = Operator { who, reason, now };
            Box::pin(execute(connection, command, operator))
        })
        .await
    }

    async fn audit(&self, count: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let text = "SELECT * FROM audit ORDER BY seq DESC LIMIT $1";
        let rows = self.rows(|_| statement(text).bind(limit(count)));
        readable(&rows.await?, view::audit)
    }

    async fn pauses(&self) -> Result<Vec<Pause>, StoreError> {
        let rows = self.rows(|_| statement("SELECT * FROM pause ORDER BY what"));
        readable(&rows.await?, view::pause)
    }
}

async fn execute(
    connection: &mut Connection,
    command: AdminCommand,
    operator: Operator,
) -> Result<CommandResult, StoreError> {
    let result = carry_out(connection, &command, &operator).await?;
    if result == CommandResult::Done {
        statement("INSERT INTO audit (at, who, act, subject, reason) VALUES ($1, $2, $3, $4, $5)")
            .bind(operator.now.as_millis())
            .bind(operator.who)
            .bind(command.name())
            .bind(command.subject())
            .bind(operator.reason)
            .execute(connection)
            .await
            .or_unavailable()?;
    }
    Ok(result)
}

/// What became of a change of so many rows.
fn found(rows: u64) -> CommandResult {
    match rows {
        0 => CommandResult::NotFound,
        _ => CommandResult::Done,
    }
}

async fn carry_out(
    connection: &mut Connection,
    command: &AdminCommand,
    operator: &Operator,
) -> Result<CommandResult, StoreError> {
    let now = operator.now.as_millis();
    let change = match command {
        AdminCommand::Dismiss { dead_letter } => {
            statement("UPDATE dead_letter SET closed_at = $1 WHERE seq = $2 AND closed_at IS NULL")
                .bind(now)
                .bind(dead_letter.0)
        }
        AdminCommand::Redrive { dead_letter } => {
            statement("UPDATE dead_letter SET asked_at = $1 WHERE seq = $2 AND closed_at IS NULL")
                .bind(now)
                .bind(dead_letter.0)
        }
        AdminCommand::Resume { what } => {
            statement("DELETE FROM pause WHERE what = $1").bind(what.to_string())
        }
        AdminCommand::SetCursor { channel, replay_id } => {
            statement("INSERT INTO stream (channel) VALUES ($1) ON CONFLICT DO NOTHING")
                .bind(channel.as_str())
                .execute(&mut *connection)
                .await
                .or_unavailable()?;
            return move_cursor(connection, channel, Some(replay_id), operator).await;
        }
        AdminCommand::ResetCursor { channel } => {
            return move_cursor(connection, channel, None, operator).await;
        }
        AdminCommand::Forget { order, whmcs_order } => {
            return forget(connection, *order, *whmcs_order, operator.now).await;
        }
        AdminCommand::Handle { order } => return handle(connection, *order, operator).await,
        AdminCommand::Adopt { .. }
        | AdminCommand::RequestRetry { .. }
        | AdminCommand::LogIn { .. }
        | AdminCommand::LogOut { .. }
        | AdminCommand::LoginFailed { .. } => return Ok(CommandResult::Done),
        AdminCommand::RetryRequested { order, answer } => {
            if *answer == Some(RetryAnswer::Asked) && !moved_on(connection, *order).await? {
                handle(connection, *order, operator).await?;
            }
            return Ok(CommandResult::Done);
        }
        AdminCommand::Pause { what } => {
            pause(connection, what, operator).await?;
            return Ok(CommandResult::Done);
        }
    };
    let changed = change.execute(connection).await.or_unavailable()?;
    Ok(found(changed.rows_affected()))
}

async fn pause(
    connection: &mut Connection,
    what: &Pausable,
    operator: &Operator,
) -> Result<(), StoreError> {
    statement(
        "INSERT INTO pause (what, who, reason, since) VALUES ($1, $2, $3, $4)
         ON CONFLICT (what) DO UPDATE SET who = excluded.who, reason = excluded.reason,
             since = excluded.since",
    )
    .bind(what.to_string())
    .bind(operator.who.as_str())
    .bind(operator.reason.as_str())
    .bind(operator.now.as_millis())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    match what {
        Pausable::Intake(channel) => depose(connection, channel).await,
        Pausable::Worker => Ok(()),
    }
}

/// Acknowledges the order's failure.
async fn handle(
    connection: &mut Connection,
    order: OrderId,
    operator: &Operator,
) -> Result<CommandResult, StoreError> {
    let changed = statement(
        "UPDATE orders SET handled_by = $1, handled_why = $2, handled_at = $3 WHERE order_id = $4",
    )
    .bind(operator.who.as_str())
    .bind(operator.reason.as_str())
    .bind(operator.now.as_millis())
    .bind(order.as_str())
    .execute(connection)
    .await
    .or_unavailable()?;
    Ok(found(changed.rows_affected()))
}

/// Whether something happened to the order since its retry was about to be requested: the
/// attempt may start before the command's result is recorded.
async fn moved_on(connection: &mut Connection, order: OrderId) -> Result<bool, StoreError> {
    statement(moved_on!())
        .bind(order.as_str())
        .fetch_optional(connection)
        .await
        .or_unavailable()
        .map(|found| found.is_some())
}

/// Ends the leader's epoch.
async fn depose(connection: &mut Connection, channel: &Channel) -> Result<(), StoreError> {
    statement(
        "UPDATE stream SET owner = NULL, lease_until = 0, epoch = epoch + 1 WHERE channel = $1",
    )
    .bind(channel.as_str())
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

async fn move_cursor(
    connection: &mut Connection,
    channel: &Channel,
    to: Option<&ReplayId>,
    operator: &Operator,
) -> Result<CommandResult, StoreError> {
    depose(connection, channel).await?;
    let moved = statement(
        "UPDATE stream SET replay_id = $1, committed_at = $2, lost = 0 WHERE channel = $3",
    )
    .bind(to.map(|position| position.as_bytes().to_vec()))
    .bind(to.map(|_| operator.now.as_millis()))
    .bind(channel.as_str())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    let result = found(moved.rows_affected());
    if result == CommandResult::Done {
        let kind = match to {
            Some(_) => CursorChange::Set,
            None => CursorChange::Reset,
        };
        let detail = format!("{}: {}", operator.who, operator.reason);
        cursor_history::mark(connection, channel, kind, &detail, operator.now).await?;
    }
    Ok(result)
}

async fn forget(
    connection: &mut Connection,
    order: OrderId,
    whmcs_order: WhmcsOrderId,
    now: Timestamp,
) -> Result<CommandResult, StoreError> {
    // No job can be enqueued or claimed meanwhile: a worker that read the facts just before this
    // commit must not work on the order.
    lock_admission(connection).await?;
    let jobs = statement(concat!(
        "SELECT state FROM job WHERE order_id = $1 AND state IN ('queued', 'leased')",
        for_update!()
    ))
    .bind(order.as_str())
    .fetch_all(&mut *connection)
    .await
    .or_unavailable()?;
    for job in &jobs {
        if job.text("state")? == "leased" {
            return Ok(CommandResult::Running);
        }
    }
    let known = statement(
        "UPDATE orders SET updated_at = $2,
             whmcs_order = CASE WHEN whmcs_order = $3 THEN NULL ELSE whmcs_order END
         WHERE order_id = $1",
    )
    .bind(order.as_str())
    .bind(now.as_millis())
    .bind(list::number(whmcs_order.0))
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    if known.rows_affected() == 0 {
        return Ok(CommandResult::NotFound);
    }
    let forgotten = Fact::Forgotten { order: whmcs_order };
    statement(
        "INSERT INTO fact (order_id, job_id, at, kind, marked, body)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(order.as_str())
    .bind(JobId::of_operator().as_str().to_owned())
    .bind(now.as_millis())
    .bind(forgotten.name())
    .bind(record::marker_evidence(&forgotten))
    .bind(record::encode(&forgotten).to_string())
    .execute(connection)
    .await
    .or_unavailable()?;
    Ok(CommandResult::Done)
}
