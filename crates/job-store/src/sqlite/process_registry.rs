//! Processes and alerts.

use std::time::Duration;

use domain::key::{Channel, Owner};
use domain::ports::{Epoch, StoreError};
use domain::time::Timestamp;
use operations::{
    Alert, AttemptStats, CallStats, PROCESS_REMOVED_AFTER, ProcessReport, ProcessView,
};
use sqlx::SqliteConnection;

use crate::error::OrUnavailable;
use crate::process_registry::{self, call_stats, keep_alert, outcomes};
use crate::sqlite::SqliteStore;
use crate::view::limit;

pub(crate) async fn report(store: &SqliteStore, report: &ProcessReport) -> Result<(), StoreError> {
    let report = report.clone();
    store
        .write_now(move |connection, now| Box::pin(note(connection, report, now)))
        .await
}

async fn note(
    connection: &mut SqliteConnection,
    report: ProcessReport,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM process WHERE seen_at <= ?")
        .bind((now - PROCESS_REMOVED_AFTER).as_millis())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    sqlx::query(
        "INSERT OR REPLACE INTO process (id, role, version, host, pid, started_at, seen_at,
             conditions, settings) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(report.id.as_str().to_owned())
    .bind(report.role.clone())
    .bind(report.version.clone())
    .bind(report.host.clone())
    .bind(i64::from(report.pid))
    .bind(report.started_at.as_millis())
    .bind(now.as_millis())
    .bind(process_registry::conditions(&report))
    .bind(process_registry::settings(&report))
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

pub(crate) async fn retire(store: &SqliteStore, id: &Owner) -> Result<(), StoreError> {
    let id = id.as_str().to_owned();
    store
        .write_now(move |connection, _| {
            Box::pin(async move {
                sqlx::query("DELETE FROM process WHERE id = ?")
                    .bind(id)
                    .execute(connection)
                    .await
                    .or_unavailable()
                    .map(|_| ())
            })
        })
        .await
}

pub(crate) async fn keep(
    store: &SqliteStore,
    watch: &Channel,
    epoch: Epoch,
    alerts: &[Alert],
) -> Result<(), StoreError> {
    let (watch, alerts) = (watch.as_str().to_owned(), alerts.to_vec());
    store
        .write_now(move |connection, _| Box::pin(keep_all(connection, watch, epoch, alerts)))
        .await
}

async fn keep_all(
    connection: &mut SqliteConnection,
    watch: String,
    epoch: Epoch,
    alerts: Vec<Alert>,
) -> Result<(), StoreError> {
    let led = sqlx::query("UPDATE stream SET epoch = epoch WHERE channel = ?1 AND epoch = ?2")
        .bind(watch)
        .bind(epoch.number())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    if led.rows_affected() == 0 {
        return Err(StoreError::NotLeader);
    }
    for alert in alerts {
        sqlx::query(keep_alert!())
            .bind(alert.name)
            .bind(alert.severity)
            .bind(alert.summary)
            .bind(alert.description)
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

pub(crate) async fn processes(store: &SqliteStore) -> Result<Vec<ProcessView>, StoreError> {
    let now = store.clock.now();
    let rows = sqlx::query("SELECT * FROM process ORDER BY role, started_at, id")
        .fetch_all(&store.readers)
        .await
        .or_unavailable()?;
    rows.iter()
        .map(|found| process_registry::process(found, now))
        .collect()
}

pub(crate) async fn alerts(store: &SqliteStore) -> Result<Vec<Alert>, StoreError> {
    let rows = sqlx::query("SELECT * FROM alert ORDER BY name")
        .fetch_all(&store.readers)
        .await
        .or_unavailable()?;
    rows.iter().map(process_registry::alert).collect()
}

pub(crate) async fn lately(
    store: &SqliteStore,
    window: Duration,
) -> Result<AttemptStats, StoreError> {
    let now = store.clock.now();
    let found = sqlx::query(outcomes!())
        .bind((now - window).as_millis())
        .fetch_one(&store.readers)
        .await
        .or_unavailable()?;
    process_registry::outcomes_of(&found, now)
}

pub(crate) async fn call_stats(
    store: &SqliteStore,
    window: Duration,
) -> Result<CallStats, StoreError> {
    let found = sqlx::query(call_stats!())
        .bind((store.clock.now() - window).as_millis())
        .bind(limit(CallStats::COUNTED))
        .fetch_one(&store.readers)
        .await
        .or_unavailable()?;
    process_registry::call_tally(&found)
}
