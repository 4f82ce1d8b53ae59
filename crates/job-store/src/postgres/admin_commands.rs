//! Operators' commands on PostgreSQL, each with its audit log entry.

use domain::id::OrderId;
use domain::key::{Channel, JobId, ReplayId, WhmcsOrderId};
use domain::order::{Fact, RetryAnswer};
use domain::ports::StoreError;
use operations::{AdminCommand, CommandResult, CursorChange, Pausable};
use sqlx::PgConnection;
use sqlx::postgres::PgQueryResult;

use crate::error::OrUnavailable;
use crate::list::moved_on;
use crate::postgres::accept::wait_for_turn;
use crate::postgres::facts::Arrays;
use crate::postgres::transaction::statement;
use crate::postgres::{cursor_history, now, orders};
use crate::row::Columns;

pub(crate) async fn execute(
    connection: &mut PgConnection,
    shift: i64,
    command: &AdminCommand,
    by: &str,
    reason: &str,
) -> Result<CommandResult, StoreError> {
    let result = carry_out(connection, shift, command, by, reason).await?;
    if result == CommandResult::Done {
        statement(concat!(
            "INSERT INTO audit (at, who, act, subject, reason) VALUES (",
            now!(),
            ", $2, $3, $4, $5)"
        ))
        .bind(shift)
        .bind(by)
        .bind(command.name())
        .bind(command.subject())
        .bind(reason)
        .execute(connection)
        .await
        .or_unavailable()?;
    }
    Ok(result)
}

fn found(result: &PgQueryResult) -> CommandResult {
    match result.rows_affected() {
        0 => CommandResult::NotFound,
        _ => CommandResult::Done,
    }
}

async fn carry_out(
    connection: &mut PgConnection,
    shift: i64,
    command: &AdminCommand,
    by: &str,
    reason: &str,
) -> Result<CommandResult, StoreError> {
    match command {
        AdminCommand::Dismiss { dead_letter } => statement(concat!(
            "UPDATE dead_letter SET closed_at = ",
            now!(),
            " WHERE seq = $2 AND closed_at IS NULL"
        ))
        .bind(shift)
        .bind(dead_letter.0)
        .execute(connection)
        .await
        .or_unavailable()
        .map(|result| found(&result)),
        AdminCommand::Redrive { dead_letter } => statement(concat!(
            "UPDATE dead_letter SET asked_at = ",
            now!(),
            " WHERE seq = $2 AND closed_at IS NULL"
        ))
        .bind(shift)
        .bind(dead_letter.0)
        .execute(connection)
        .await
        .or_unavailable()
        .map(|result| found(&result)),
        AdminCommand::SetCursor { channel, replay_id } => {
            statement("INSERT INTO stream (channel) VALUES ($1) ON CONFLICT DO NOTHING")
                .bind(channel.as_str())
                .execute(&mut *connection)
                .await
                .or_unavailable()?;
            move_cursor(connection, shift, channel, Some(replay_id), (by, reason)).await
        }
        AdminCommand::ResetCursor { channel } => {
            move_cursor(connection, shift, channel, None, (by, reason)).await
        }
        AdminCommand::Forget { order, whmcs_order } => {
            forget(connection, shift, *order, *whmcs_order).await
        }
        AdminCommand::Handle { order } => handle(connection, shift, *order, by, reason).await,
        AdminCommand::RequestRetry { .. }
        | AdminCommand::LogIn { .. }
        | AdminCommand::LogOut { .. }
        | AdminCommand::LoginFailed { .. } => Ok(CommandResult::Done),
        AdminCommand::RetryRequested { order, answer } => {
            if *answer == Some(RetryAnswer::Asked) && !moved_on(connection, *order).await? {
                handle(connection, shift, *order, by, reason).await?;
            }
            Ok(CommandResult::Done)
        }
        AdminCommand::Pause { what } => {
            statement(concat!(
                "INSERT INTO pause (what, who, reason, since) VALUES ($2, $3, $4, ",
                now!(),
                ") ON CONFLICT (what) DO UPDATE SET
                     who = excluded.who, reason = excluded.reason, since = excluded.since"
            ))
            .bind(shift)
            .bind(what.to_string())
            .bind(by)
            .bind(reason)
            .execute(&mut *connection)
            .await
            .or_unavailable()?;
            if let Pausable::Intake(channel) = what {
                depose(connection, channel).await?;
            }
            Ok(CommandResult::Done)
        }
        AdminCommand::Resume { what } => {
            let gone = statement("DELETE FROM pause WHERE what = $1")
                .bind(what.to_string())
                .execute(&mut *connection)
                .await
                .or_unavailable()?;
            sqlx::raw_sql("NOTIFY orderbridge_job")
                .execute(connection)
                .await
                .or_unavailable()?;
            Ok(found(&gone))
        }
    }
}

/// Acknowledges the order's failure.
async fn handle(
    connection: &mut PgConnection,
    shift: i64,
    order: OrderId,
    by: &str,
    reason: &str,
) -> Result<CommandResult, StoreError> {
    statement(concat!(
        "UPDATE orders SET handled_by = $2, handled_why = $3, handled_at = ",
        now!(),
        " WHERE order_id = $4"
    ))
    .bind(shift)
    .bind(by)
    .bind(reason)
    .bind(order.as_str())
    .execute(connection)
    .await
    .or_unavailable()
    .map(|result| found(&result))
}

/// Whether something happened to the order since its retry was about to be requested: the
/// attempt may start before the command's result is recorded.
async fn moved_on(connection: &mut PgConnection, order: OrderId) -> Result<bool, StoreError> {
    statement(moved_on!())
        .bind(order.as_str())
        .fetch_optional(connection)
        .await
        .or_unavailable()
        .map(|found| found.is_some())
}

/// Ends the leader's term.
async fn depose(connection: &mut PgConnection, channel: &Channel) -> Result<(), StoreError> {
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
    connection: &mut PgConnection,
    shift: i64,
    channel: &Channel,
    to: Option<&ReplayId>,
    (by, reason): (&str, &str),
) -> Result<CommandResult, StoreError> {
    depose(connection, channel).await?;
    let moved = statement(concat!(
        "UPDATE stream SET replay_id = $2, lost = 0,
             committed_at = CASE WHEN $2 IS NULL THEN NULL ELSE ",
        now!(),
        " END WHERE channel = $3"
    ))
    .bind(shift)
    .bind(to.map(|position| position.as_bytes().to_vec()))
    .bind(channel.as_str())
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    if found(&moved) == CommandResult::Done {
        let kind = match to {
            Some(_) => CursorChange::Set,
            None => CursorChange::Reset,
        };
        cursor_history::mark(connection, shift, channel, kind, &format!("{by}: {reason}")).await?;
    }
    Ok(found(&moved))
}

async fn forget(
    connection: &mut PgConnection,
    shift: i64,
    order: OrderId,
    whmcs_order: WhmcsOrderId,
) -> Result<CommandResult, StoreError> {
    // No job can be enqueued or claimed meanwhile: a worker that read
    // the facts just before this commit must not work on the order.
    wait_for_turn(connection).await?;
    let jobs = statement(
        "SELECT state FROM job WHERE order_id = $1 AND state IN ('queued', 'leased') FOR UPDATE",
    )
    .bind(order.as_str())
    .fetch_all(&mut *connection)
    .await
    .or_unavailable()?;
    for job in &jobs {
        if job.text("state")? == "leased" {
            return Ok(CommandResult::Running);
        }
    }
    let known = statement("SELECT 1 FROM orders WHERE order_id = $1")
        .bind(order.as_str())
        .fetch_optional(&mut *connection)
        .await
        .or_unavailable()?;
    if known.is_none() {
        return Ok(CommandResult::NotFound);
    }
    let new = Arrays::of(&[Fact::Forgotten { order: whmcs_order }]);
    statement(concat!(
        "INSERT INTO fact (order_id, job_id, at, kind, marked, body)
         SELECT $2, $3, ",
        now!(),
        ", kind, marked, body FROM unnest($4::text[], $5::bigint[], $6::text[])
             AS new (kind, marked, body)"
    ))
    .bind(shift)
    .bind(order.as_str())
    .bind(JobId::of_operator().as_str())
    .bind(new.kinds)
    .bind(new.marked)
    .bind(new.bodies)
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    orders::forgotten(connection, shift, order, whmcs_order).await?;
    Ok(CommandResult::Done)
}
