//! Processes and alerts.

use std::time::Duration;

use domain::key::{Channel, Owner};
use domain::ports::{Epoch, StoreError};
use domain::time::Timestamp;
use operations::{
    Alert, AttemptStats, CallStats, PROCESS_REMOVED_AFTER, ProcessReport, ProcessView,
};
use sqlx::PgConnection;

use crate::error::OrUnavailable;
use crate::postgres::intake::millis;
use crate::postgres::now;
use crate::postgres::transaction::statement;
use crate::process_registry::{self, call_stats, keep_alert, outcomes};
use crate::row::Columns;
use crate::view::limit;

pub(crate) async fn report(
    connection: &mut PgConnection,
    shift: i64,
    report: &ProcessReport,
) -> Result<(), StoreError> {
    statement(concat!(
        "DELETE FROM process WHERE seen_at <= ",
        now!(),
        " - $2"
    ))
    .bind(shift)
    .bind(millis(PROCESS_REMOVED_AFTER))
    .execute(&mut *connection)
    .await
    .or_unavailable()?;
    statement(concat!(
        "INSERT INTO process (id, role, version, host, pid, started_at, seen_at, conditions,
             settings) VALUES ($2, $3, $4, $5, $6, $7, ",
        now!(),
        ", $8, $9)
         ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at,
             conditions = excluded.conditions, settings = excluded.settings"
    ))
    .bind(shift)
    .bind(report.id.as_str())
    .bind(report.role.as_str())
    .bind(report.version.as_str())
    .bind(report.host.as_str())
    .bind(i64::from(report.pid))
    .bind(report.started_at.as_millis())
    .bind(process_registry::conditions(report))
    .bind(process_registry::settings(report))
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

pub(crate) async fn retire(connection: &mut PgConnection, id: &Owner) -> Result<(), StoreError> {
    statement("DELETE FROM process WHERE id = $1")
        .bind(id.as_str())
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}

pub(crate) async fn keep(
    connection: &mut PgConnection,
    watch: &Channel,
    epoch: Epoch,
    alerts: &[Alert],
) -> Result<(), StoreError> {
    let led = statement("UPDATE stream SET epoch = epoch WHERE channel = $1 AND epoch = $2")
        .bind(watch.as_str())
        .bind(epoch.number())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    if led.rows_affected() == 0 {
        return Err(StoreError::NotLeader);
    }
    for alert in alerts {
        statement(keep_alert!())
            .bind(alert.name.as_str())
            .bind(alert.severity.as_str())
            .bind(alert.summary.as_str())
            .bind(alert.description.as_str())
            .bind(alert.pending_since.map(Timestamp::as_millis))
            .bind(alert.firing_since.map(Timestamp::as_millis))
            .bind(alert.resolved_at.map(Timestamp::as_millis))
            .bind(alert.notified.name())
            .execute(&mut *connection)
            .await
            .or_unavailable()?;
    }
    Ok(())
}

pub(crate) async fn now_of(
    connection: &mut PgConnection,
    shift: i64,
) -> Result<Timestamp, StoreError> {
    statement(concat!("SELECT ", now!(), " AS now"))
        .bind(shift)
        .fetch_one(connection)
        .await
        .or_unavailable()?
        .time("now")
}

pub(crate) async fn processes(
    connection: &mut PgConnection,
    shift: i64,
) -> Result<Vec<ProcessView>, StoreError> {
    let now = now_of(connection, shift).await?;
    let rows = statement("SELECT * FROM process ORDER BY role, started_at, id")
        .fetch_all(connection)
        .await
        .or_unavailable()?;
    rows.iter()
        .map(|found| process_registry::process(found, now))
        .collect()
}

pub(crate) async fn alerts(connection: &mut PgConnection) -> Result<Vec<Alert>, StoreError> {
    let rows = statement("SELECT * FROM alert ORDER BY name")
        .fetch_all(connection)
        .await
        .or_unavailable()?;
    rows.iter().map(process_registry::alert).collect()
}

pub(crate) async fn lately(
    connection: &mut PgConnection,
    shift: i64,
    window: Duration,
) -> Result<AttemptStats, StoreError> {
    let now = now_of(connection, shift).await?;
    let found = statement(outcomes!())
        .bind((now - window).as_millis())
        .fetch_one(connection)
        .await
        .or_unavailable()?;
    process_registry::outcomes_of(&found, now)
}

pub(crate) async fn call_stats(
    connection: &mut PgConnection,
    shift: i64,
    window: Duration,
) -> Result<CallStats, StoreError> {
    let now = now_of(connection, shift).await?;
    let found = statement(call_stats!())
        .bind((now - window).as_millis())
        .bind(limit(CallStats::COUNTED))
        .fetch_one(connection)
        .await
        .or_unavailable()?;
    process_registry::call_tally(&found)
}
