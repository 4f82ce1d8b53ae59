//! The list of orders in SQLite, updated in the commits that change it.

use domain::id::OrderId;
use domain::job::JobOutcome;
use domain::order::Fact;
use domain::ports::StoreError;
use domain::time::Timestamp;
use sqlx::SqliteConnection;

use crate::damage::set_aside_order;
use crate::error::OrUnavailable;
use crate::list::Change;

/// A job of the order was enqueued.
pub(crate) async fn asked_for(
    connection: &mut SqliteConnection,
    order: OrderId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO orders (order_id, stage, updated_at) VALUES (?1, 'live', ?2)
         ON CONFLICT (order_id) DO UPDATE SET stage = 'live', updated_at = excluded.updated_at,
             handled_by = NULL, handled_why = NULL, handled_at = NULL",
    )
    .bind(order.as_str().to_owned())
    .bind(now.as_millis())
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

/// Facts of the order were recorded.
pub(crate) async fn recorded(
    connection: &mut SqliteConnection,
    order: OrderId,
    facts: &[Fact],
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(change) = Change::of(facts) else {
        return Ok(());
    };
    sqlx::query(
        "INSERT INTO orders (order_id, number, account, whmcs_order, stage, code, attempts,
             updated_at)
         VALUES (?1, ?2, ?3, ?4, 'live', ?5, ?6, ?7)
         ON CONFLICT (order_id) DO UPDATE SET
             number = coalesce(excluded.number, number),
             account = coalesce(excluded.account, account),
             whmcs_order = coalesce(excluded.whmcs_order, whmcs_order),
             code = CASE WHEN ?8 THEN excluded.code ELSE code END,
             attempts = attempts + excluded.attempts,
             updated_at = excluded.updated_at",
    )
    .bind(order.as_str().to_owned())
    .bind(change.number)
    .bind(change.account)
    .bind(change.whmcs_order)
    .bind(change.code.flatten())
    .bind(change.attempts)
    .bind(now.as_millis())
    .bind(change.code.is_some())
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

/// A job of the order finished; the order is live while another is queued.
pub(crate) async fn ended(
    connection: &mut SqliteConnection,
    order: OrderId,
    outcome: JobOutcome,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO orders (order_id, stage, updated_at)
         SELECT ?1, CASE WHEN EXISTS (
                 SELECT 1 FROM job WHERE order_id = ?1 AND state IN ('queued', 'leased'))
             THEN 'live' ELSE ?2 END, ?3
         WHERE true
         ON CONFLICT (order_id) DO UPDATE SET
             stage = excluded.stage, updated_at = excluded.updated_at",
    )
    .bind(order.as_str().to_owned())
    .bind(outcome.name())
    .bind(now.as_millis())
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

/// A job of the order was set aside.
pub(crate) async fn set_aside(
    connection: &mut SqliteConnection,
    order: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(set_aside_order!())
        .bind(order.to_owned())
        .bind(now.as_millis())
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}
