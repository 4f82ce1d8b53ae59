//! Processes and alerts.

use async_trait::async_trait;
use domain::key::{Channel, Owner};
use domain::ports::{Epoch, StoreError};
use domain::time::Timestamp;
use operations::{
    Alert, AlertStore, PROCESS_REMOVED_AFTER, ProcessRegistry, ProcessReport, ProcessView,
};

use super::{Connection, Store, statement};
use crate::error::OrUnavailable;
use crate::process_registry::{self, keep_alert};
use crate::store::Commit;

#[async_trait]
impl ProcessRegistry for Store {
    async fn report_process(&self, report: &ProcessReport) -> Result<(), StoreError> {
        self.change(
            Commit::Relaxed,
            report.clone(),
            |connection, report, now| Box::pin(record(connection, report, now)),
        )
        .await
    }

    async fn retire_process(&self, id: &Owner) -> Result<(), StoreError> {
        self.change(Commit::Relaxed, id.clone(), |connection, id, _| {
            Box::pin(async move {
                statement("DELETE FROM process WHERE id = $1")
                    .bind(id.as_str())
                    .execute(connection)
                    .await
                    .or_unavailable()
                    .map(|_| ())
            })
        })
        .await
    }

    async fn processes(&self) -> Result<Vec<ProcessView>, StoreError> {
        let text = "SELECT * FROM process ORDER BY role, started_at, id";
        let (rows, now) = self.rows_now(|_| statement(text)).await?;
        let processes = rows.iter().map(|row| process_registry::process(row, now));
        processes.collect()
    }
}

#[async_trait]
impl AlertStore for Store {
    async fn save_alerts(
        &self,
        watch: &Channel,
        epoch: Epoch,
        alerts: &[Alert],
    ) -> Result<(), StoreError> {
        let data = (watch.clone(), epoch, alerts.to_vec());
        self.change(
            Commit::Flushed,
            data,
            |connection, (watch, epoch, alerts), _| {
                Box::pin(save(connection, watch, epoch, alerts))
            },
        )
        .await
    }

    async fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        let rows = self.rows(|_| statement("SELECT * FROM alert ORDER BY name"));
        rows.await?.iter().map(process_registry::alert).collect()
    }
}

async fn record(
    connection: &mut Connection,
    report: ProcessReport,
    now: Timestamp,
) -> Result<(), StoreError> {
    statement("DELETE FROM process WHERE seen_at <= $1")
        .bind((now - PROCESS_REMOVED_AFTER).as_millis())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    statement(
        "INSERT INTO process (id, role, version, host, pid, started_at, seen_at, conditions,
             settings) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at,
             conditions = excluded.conditions, settings = excluded.settings",
    )
    .bind(report.id.as_str())
    .bind(report.role.as_str())
    .bind(report.version.as_str())
    .bind(report.host.as_str())
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

async fn save(
    connection: &mut Connection,
    watch: Channel,
    epoch: Epoch,
    alerts: Vec<Alert>,
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
    for alert in &alerts {
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
