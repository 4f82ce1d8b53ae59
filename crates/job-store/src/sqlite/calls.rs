//! Recorded calls to Salesforce and WHMCS, in SQLite.

use domain::job::Lease;
use domain::ports::{CallRecord, StoreError};
use sqlx::SqliteConnection;

use crate::error::OrUnavailable;
use crate::row::Columns;
use crate::view::{self, limit};

/// Appends calls of the job that a lease is for, and forgets its oldest beyond
/// [`CallRecord::MAX_KEPT`]. The caller has made sure of the lease in the same transaction.
pub(crate) async fn append(
    connection: &mut SqliteConnection,
    lease: &Lease,
    calls: &[CallRecord],
) -> Result<(), StoreError> {
    if calls.is_empty() {
        return Ok(());
    }
    let (order, job) = (
        lease.order.as_str().to_owned(),
        lease.job.as_str().to_owned(),
    );
    let found = sqlx::query(
        "SELECT coalesce(max(number), 0) AS last FROM outside_call WHERE order_id = ? AND job_id = ?",
    )
    .bind(order.clone())
    .bind(job.clone())
    .fetch_one(&mut *connection)
    .await
    .or_unavailable()?;
    let (skipped, newest) = CallRecord::newest(calls);
    let mut number = found.int("last")? + limit(skipped);
    for call in newest {
        number += 1;
        sqlx::query(
            "INSERT INTO outside_call (order_id, job_id, number, at, took, action, outcome)
             VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(order.clone())
        .bind(job.clone())
        .bind(number)
        .bind(call.at.as_millis())
        .bind(view::took(call))
        .bind(call.action.name())
        .bind(call.outcome.name())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    }
    let left_out = number - limit(CallRecord::MAX_KEPT);
    if left_out > 0 {
        sqlx::query("DELETE FROM outside_call WHERE order_id = ? AND job_id = ? AND number <= ?")
            .bind(order)
            .bind(job)
            .bind(left_out)
            .execute(connection)
            .await
            .or_unavailable()?;
    }
    Ok(())
}
