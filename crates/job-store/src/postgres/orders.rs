//! The list of orders in PostgreSQL. Facts and outcomes change it in their own statement, see
//! [`listed`].

use domain::failure::Code;
use domain::order::Fact;
use domain::ports::StoreError;
use domain::time::Timestamp;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres};

use super::statement;
use crate::damage::set_aside_order;
use crate::error::OrUnavailable;
use crate::list::Change;
use crate::update::JobValues;

/// A CTE that updates the row of the order in the CTE `held`. `$7` is its job's outcome
/// or `live`; [`bind`] binds the parameters after it.
macro_rules! listed {
    () => {
        concat!(
            ", listed AS (
                 INSERT INTO orders (order_id, number, account, whmcs_order, stage, code,
                     attempts, updated_at)
                 SELECT held.order_id, $8::text, $9::text, $10::bigint,
                     CASE WHEN EXISTS (
                             SELECT 1 FROM job AS other
                             WHERE other.order_id = held.order_id AND other.id <> held.id
                               AND other.state IN ('queued', 'leased'))
                         THEN 'live' ELSE $7 END,
                     $11::text, $13::bigint, ",
            crate::postgres::now!(),
            " FROM held WHERE $14
                 ON CONFLICT (order_id) DO UPDATE SET
                     number = coalesce(excluded.number, orders.number),
                     account = coalesce(excluded.account, orders.account),
                     whmcs_order = coalesce(excluded.whmcs_order, orders.whmcs_order),
                     stage = excluded.stage,
                     code = CASE WHEN $12 THEN excluded.code ELSE orders.code END,
                     attempts = orders.attempts + excluded.attempts,
                     updated_at = excluded.updated_at)"
        )
    };
}
pub(crate) use listed;

/// Binds the parameters of [`listed`] from `$8` on. A finished job is shown whatever the facts are.
pub(crate) fn bind<'q>(
    query: Query<'q, Postgres, PgArguments>,
    facts: &[Fact],
    new: &JobValues,
) -> Query<'q, Postgres, PgArguments> {
    let change = Change::of(facts);
    let shown = new.outcome.is_some() || change.is_some();
    let mut change = change.unwrap_or_default();
    if new.set_aside.is_some() {
        change.code = Some(Some(Code::Internal.as_str()));
    }
    query
        .bind(change.number)
        .bind(change.account)
        .bind(change.whmcs_order)
        .bind(change.code.flatten())
        .bind(change.code.is_some())
        .bind(change.attempts)
        .bind(shown)
}

/// Jobs of these orders were enqueued.
pub(crate) async fn asked_for(
    connection: &mut PgConnection,
    orders: &[&str],
    now: Timestamp,
) -> Result<(), StoreError> {
    statement(
        "INSERT INTO orders (order_id, stage, updated_at)
         SELECT DISTINCT order_id, 'live', $1 FROM unnest($2::text[]) AS order_id
         ON CONFLICT (order_id) DO UPDATE SET stage = 'live', updated_at = excluded.updated_at,
             handled_by = NULL, handled_why = NULL, handled_at = NULL",
    )
    .bind(now.as_millis())
    .bind(orders)
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

/// A job of the order was set aside.
pub(crate) async fn set_aside(
    connection: &mut PgConnection,
    order: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    statement(set_aside_order!())
        .bind(order)
        .bind(now.as_millis())
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}
