//! Recorded calls to Salesforce and WHMCS, in PostgreSQL.

use domain::job::Lease;
use domain::ports::{CallRecord, StoreError};
use sqlx::PgConnection;

use crate::error::OrUnavailable;
use crate::postgres::statement;
use crate::view::{self, limit};

/// Appends calls of the job that a lease is for, and forgets its oldest beyond
/// [`CallRecord::MAX_KEPT`]. The caller has locked the job's row in the same transaction, so that
/// nobody else numbers its calls.
pub(crate) async fn append(
    connection: &mut PgConnection,
    lease: &Lease,
    calls: &[CallRecord],
) -> Result<(), StoreError> {
    if calls.is_empty() {
        return Ok(());
    }
    let (skipped, newest) = CallRecord::newest(calls);
    statement(
        "WITH known AS (
             SELECT coalesce(max(number), 0) + $3 AS last FROM outside_call
             WHERE order_id = $1 AND job_id = $2
         ), left_out AS (
             DELETE FROM outside_call USING known
             WHERE order_id = $1 AND job_id = $2
               AND number <= known.last + cardinality($4::bigint[]) - $8
         )
         INSERT INTO outside_call (order_id, job_id, number, at, took, action, outcome)
         SELECT $1, $2, known.last + new.place, new.at, new.took, new.action, new.outcome
         FROM known CROSS JOIN unnest($4::bigint[], $5::bigint[], $6::text[], $7::text[])
             WITH ORDINALITY AS new (at, took, action, outcome, place)",
    )
    .bind(lease.order.as_str())
    .bind(lease.job.as_str())
    .bind(limit(skipped))
    .bind(
        newest
            .iter()
            .map(|call| call.at.as_millis())
            .collect::<Vec<_>>(),
    )
    .bind(newest.iter().map(view::took).collect::<Vec<_>>())
    .bind(
        newest
            .iter()
            .map(|call| call.action.name())
            .collect::<Vec<_>>(),
    )
    .bind(
        newest
            .iter()
            .map(|call| call.outcome.name())
            .collect::<Vec<_>>(),
    )
    .bind(limit(CallRecord::MAX_KEPT))
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}
