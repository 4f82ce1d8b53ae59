//! Operators' commands on SQLite, each with its audit log entry.

use domain::id::OrderId;
use domain::key::{Channel, JobId, ReplayId, WhmcsOrderId};
use domain::order::{Fact, RetryAnswer};
use domain::ports::StoreError;
use domain::time::Timestamp;
use operations::{AdminCommand, CommandResult, CursorChange, Pausable};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteQueryResult;

use crate::error::OrUnavailable;
use crate::list::{self, moved_on};
use crate::row::Columns;
use crate::sqlite::{cursor_history, facts};

/// Operator, reason and time of a command.
pub(crate) struct Operator {
    pub(crate) who: String,
    pub(crate) reason: String,
    pub(crate) now: Timestamp,
}

pub(crate) async fn execute(
    connection: &mut SqliteConnection,
    command: &AdminCommand,
    operator: &Operator,
) -> Result<CommandResult, StoreError> {
    let result = carry_out(connection, command, operator).await?;
    if result == CommandResult::Done {
        sqlx::query("INSERT INTO audit (at, who, act, subject, reason) VALUES (?, ?, ?, ?, ?)")
            .bind(operator.now.as_millis())
            .bind(operator.who.clone())
            .bind(command.name())
            .bind(command.subject())
            .bind(operator.reason.clone())
            .execute(connection)
            .await
            .or_unavailable()?;
    }
    Ok(result)
}

fn found(result: &SqliteQueryResult) -> CommandResult {
    match result.rows_affected() {
        0 => CommandResult::NotFound,
        _ => CommandResult::Done,
    }
}

async fn carry_out(
    connection: &mut SqliteConnection,
    command: &AdminCommand,
    operator: &Operator,
) -> Result<CommandResult, StoreError> {
    let now = operator.now.as_millis();
    match command {
        AdminCommand::Dismiss { dead_letter } => {
            sqlx::query("UPDATE dead_letter SET closed_at = ? WHERE seq = ? AND closed_at IS NULL")
                .bind(now)
                .bind(dead_letter.0)
                .execute(connection)
                .await
                .or_unavailable()
                .map(|result| found(&result))
        }
        AdminCommand::Redrive { dead_letter } => {
            sqlx::query("UPDATE dead_letter SET asked_at = ? WHERE seq = ? AND closed_at IS NULL")
                .bind(now)
                .bind(dead_letter.0)
                .execute(connection)
                .await
                .or_unavailable()
                .map(|result| found(&result))
        }
        AdminCommand::SetCursor { channel, replay_id } => {
            sqlx::query("INSERT INTO stream (channel) VALUES (?) ON CONFLICT DO NOTHING")
                .bind(channel.as_str().to_owned())
                .execute(&mut *connection)
                .await
                .or_unavailable()?;
            move_cursor(connection, channel, Some(replay_id), operator).await
        }
        AdminCommand::ResetCursor { channel } => {
            move_cursor(connection, channel, None, operator).await
        }
        AdminCommand::Forget { order, whmcs_order } => {
            forget(connection, *order, *whmcs_order, operator.now).await
        }
        AdminCommand::Handle { order } => handle(connection, *order, operator).await,
        AdminCommand::RequestRetry { .. }
        | AdminCommand::LogIn { .. }
        | AdminCommand::LogOut { .. }
        | AdminCommand::LoginFailed { .. } => Ok(CommandResult::Done),
        AdminCommand::RetryRequested { order, answer } => {
            if *answer == Some(RetryAnswer::Asked) && !moved_on(connection, *order).await? {
                handle(connection, *order, operator).await?;
            }
            Ok(CommandResult::Done)
        }
        AdminCommand::Pause { what } => {
            sqlx::query(
                "INSERT OR REPLACE INTO pause (what, who, reason, since) VALUES (?, ?, ?, ?)",
            )
            .bind(what.to_string())
            .bind(operator.who.clone())
            .bind(operator.reason.clone())
            .bind(now)
            .execute(&mut *connection)
            .await
            .or_unavailable()?;
            if let Pausable::Intake(channel) = what {
                depose(connection, channel).await?;
            }
            Ok(CommandResult::Done)
        }
        AdminCommand::Resume { what } => sqlx::query("DELETE FROM pause WHERE what = ?")
            .bind(what.to_string())
            .execute(connection)
            .await
            .or_unavailable()
            .map(|result| found(&result)),
    }
}

/// Acknowledges the order's failure.
async fn handle(
    connection: &mut SqliteConnection,
    order: OrderId,
    operator: &Operator,
) -> Result<CommandResult, StoreError> {
    sqlx::query(
        "UPDATE orders SET handled_by = ?, handled_why = ?, handled_at = ? WHERE order_id = ?",
    )
    .bind(operator.who.clone())
    .bind(operator.reason.clone())
    .bind(operator.now.as_millis())
    .bind(order.as_str().to_owned())
    .execute(connection)
    .await
    .or_unavailable()
    .map(|result| found(&result))
}

/// Whether something happened to the order since its retry was about to be requested: the
/// attempt may start before the command's result is recorded.
async fn moved_on(connection: &mut SqliteConnection, order: OrderId) -> Result<bool, StoreError> {
    sqlx::query(moved_on!())
        .bind(order.as_str().to_owned())
        .fetch_optional(connection)
        .await
        .or_unavailable()
        .map(|found| found.is_some())
}

/// Ends the leader's term.
async fn depose(connection: &mut SqliteConnection, channel: &Channel) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE stream SET owner = NULL, lease_until = 0, epoch = epoch + 1 WHERE channel = ?",
    )
    .bind(channel.as_str().to_owned())
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

async fn move_cursor(
    connection: &mut SqliteConnection,
    channel: &Channel,
    to: Option<&ReplayId>,
    operator: &Operator,
) -> Result<CommandResult, StoreError> {
    depose(connection, channel).await?;
    let moved = sqlx::query(
        "UPDATE stream SET replay_id = ?, committed_at = ?, lost = 0 WHERE channel = ?",
    )
    .bind(to.map(|position| position.as_bytes().to_vec()))
    .bind(to.map(|_| operator.now.as_millis()))
    .bind(channel.as_str().to_owned())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    if found(&moved) == CommandResult::Done {
        let kind = match to {
            Some(_) => CursorChange::Set,
            None => CursorChange::Reset,
        };
        let detail = format!("{}: {}", operator.who, operator.reason);
        cursor_history::mark(connection, channel, kind, &detail, operator.now).await?;
    }
    Ok(found(&moved))
}

async fn forget(
    connection: &mut SqliteConnection,
    order: OrderId,
    whmcs_order: WhmcsOrderId,
    now: Timestamp,
) -> Result<CommandResult, StoreError> {
    let standing = sqlx::query(
        "SELECT EXISTS (SELECT 1 FROM orders WHERE order_id = ?1) AS known,
             EXISTS (SELECT 1 FROM job WHERE order_id = ?1 AND state = 'leased') AS leased",
    )
    .bind(order.as_str().to_owned())
    .fetch_one(&mut *connection)
    .await
    .or_unavailable()?;
    if standing.int("known")? == 0 {
        return Ok(CommandResult::NotFound);
    }
    if standing.int("leased")? == 1 {
        return Ok(CommandResult::Running);
    }
    let forgotten = [Fact::Forgotten { order: whmcs_order }];
    facts::append(connection, order, &JobId::of_operator(), &forgotten, now).await?;
    sqlx::query("UPDATE orders SET whmcs_order = NULL WHERE order_id = ? AND whmcs_order = ?")
        .bind(order.as_str().to_owned())
        .bind(list::number(whmcs_order.0))
        .execute(connection)
        .await
        .or_unavailable()?;
    Ok(CommandResult::Done)
}
