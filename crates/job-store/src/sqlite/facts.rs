//! Facts in the file.

use domain::id::OrderId;
use domain::key::JobId;
use domain::order::Fact;
use domain::ports::StoreError;
use domain::time::Timestamp;
use sqlx::SqliteConnection;

use crate::error::OrUnavailable;
use crate::sqlite::orders;
use crate::{record, row};

/// The facts a worker resumes from: all of them, or an error.
pub(crate) async fn of_order(
    connection: &mut SqliteConnection,
    order: OrderId,
) -> Result<Vec<Fact>, StoreError> {
    let rows =
        sqlx::query("SELECT at, job_id, kind, body FROM fact WHERE order_id = ? ORDER BY seq")
            .bind(order.as_str().to_owned())
            .fetch_all(connection)
            .await
            .or_unavailable()?;
    let facts = rows.iter().map(row::fact);
    facts
        .map(|read| read.map(|recorded| recorded.fact))
        .collect()
}

pub(crate) async fn append(
    connection: &mut SqliteConnection,
    order: OrderId,
    job: &JobId,
    facts: &[Fact],
    now: Timestamp,
) -> Result<(), StoreError> {
    for fact in facts {
        sqlx::query(
            "INSERT INTO fact (order_id, job_id, at, kind, marked, body) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(order.as_str().to_owned())
        .bind(job.as_str().to_owned())
        .bind(now.as_millis())
        .bind(fact.name())
        .bind(record::marker_evidence(fact))
        .bind(record::encode(fact).to_string())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    }
    orders::recorded(connection, order, facts, now).await
}
