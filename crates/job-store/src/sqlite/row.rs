//! Rows, and what they stand for.

use domain::id::OrderId;
use domain::job::{Ending, Fence, Lease, NewJob, Source};
use domain::key::{CorrelationId, EventId, IdemKey, JobId};
use domain::order::Fact;
use domain::ports::{RecordedFact, StoreError};
use domain::time::Timestamp;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use crate::error::{corrupt, unavailable};
use crate::record;
use crate::sqlite::writer::OrUnavailable;

pub(crate) fn get<'r, T>(row: &'r SqliteRow, column: &'static str) -> Result<T, StoreError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(column).map_err(unavailable)
}

pub(crate) fn time(row: &SqliteRow, column: &'static str) -> Result<Timestamp, StoreError> {
    get(row, column).map(Timestamp::from_millis)
}

pub(crate) fn maybe_time(
    row: &SqliteRow,
    column: &'static str,
) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_millis))
}

pub(crate) fn job(row: &SqliteRow) -> Result<NewJob, StoreError> {
    let source: &str = get(row, "source")?;
    Ok(NewJob {
        id: record::job_id(get(row, "id")?)?,
        source: match source {
            "event" => Source::Event,
            "reconcile" => Source::Reconcile,
            other => return Err(corrupt("job.source", format!("`{other}` is no source"))),
        },
        event: get::<Option<String>>(row, "event_id")?.and_then(EventId::new),
        order: OrderId::parse(get(row, "order_id")?)
            .map_err(|error| corrupt("job.order_id", error))?,
        idem_key: get::<Option<String>>(row, "idem_key")?.and_then(IdemKey::new),
        correlation: CorrelationId::new(get::<String>(row, "correlation")?)
            .ok_or_else(|| corrupt("job.correlation", "it is blank"))?,
        requested_by: get(row, "requested_by")?,
        requested_at: time(row, "requested_at")?,
    })
}

pub(crate) fn ending(state: &str) -> Option<Ending> {
    Ending::ALL
        .into_iter()
        .find(|ending| ending.name() == state)
}

pub(crate) fn lease(job: &NewJob, fence: Fence) -> Lease {
    Lease {
        job: job.id.clone(),
        order: job.order,
        fence,
    }
}

pub(crate) async fn facts(
    connection: &mut SqliteConnection,
    order: OrderId,
) -> Result<Vec<RecordedFact>, StoreError> {
    let rows =
        sqlx::query("SELECT at, job_id, kind, body FROM fact WHERE order_id = ? ORDER BY seq")
            .bind(order.as_str().to_owned())
            .fetch_all(connection)
            .await
            .or_unavailable()?;
    rows.iter()
        .map(|row| {
            Ok(RecordedFact {
                at: time(row, "at")?,
                job: record::job_id(get(row, "job_id")?)?,
                fact: record::decode(get(row, "kind")?, get(row, "body")?)?,
            })
        })
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
        .bind(i64::from(record::proves_marks(fact)))
        .bind(record::encode(fact).to_string())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    }
    Ok(())
}
