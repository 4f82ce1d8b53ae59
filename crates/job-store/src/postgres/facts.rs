//! Facts in the database.

use domain::order::Fact;
use domain::ports::StoreError;
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use crate::error::OrUnavailable;
use crate::postgres::statement;
use crate::record;

/// The rows of facts of some orders, each order's oldest first.
pub(crate) async fn of_orders(
    connection: &mut PgConnection,
    orders: &[&str],
) -> Result<Vec<PgRow>, StoreError> {
    statement(
        "SELECT order_id, at, job_id, kind, body FROM fact
         WHERE order_id = ANY($1) ORDER BY order_id, seq",
    )
    .bind(orders)
    .fetch_all(connection)
    .await
    .or_unavailable()
}

/// Facts as the arrays that a statement takes: kinds, bodies, and what each tells of markers.
pub(crate) struct Arrays {
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) bodies: Vec<String>,
    pub(crate) marked: Vec<i64>,
}

impl Arrays {
    pub(crate) fn of(facts: &[Fact]) -> Self {
        Self {
            kinds: facts.iter().map(Fact::name).collect(),
            bodies: facts
                .iter()
                .map(|fact| record::encode(fact).to_string())
                .collect(),
            marked: facts.iter().map(record::marker_evidence).collect(),
        }
    }
}
