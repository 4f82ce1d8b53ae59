//! Mapping of rows to domain types, the same for both engines.

use domain::id::OrderId;
use domain::job::{JobOutcome, Lease, LeaseToken, NewJob, Source};
use domain::key::{CorrelationId, EventId, IdemKey, Owner, ReplayId, WhmcsOrderId};
use domain::order::MarkerProof;
use domain::ports::{Claimed, Cursor, Epoch, StoreError};
use domain::time::Timestamp;
use operations::{JobStage, JobView, RecordedFact, StreamView};
use sqlx::Row;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use crate::error::{corrupt, unavailable};
use crate::record;

/// The columns of a job that a claim reads.
macro_rules! job_columns {
    () => {
        "id, source, event_id, order_id, idem_key, correlation, requested_by, requested_at,
         enqueued_at, deferrals"
    };
}
pub(crate) use job_columns;

/// The columns that tell which orders show that WHMCS keeps our marker: the first and the last
/// of those that kept it since one lost it. The same text for both engines.
macro_rules! kept_columns {
    () => {
        "(SELECT whmcs_order FROM orders WHERE order_id = (
              SELECT order_id FROM fact WHERE marked = 1 AND seq > coalesce(
                  (SELECT seq FROM fact WHERE marked = 2 ORDER BY seq DESC LIMIT 1), 0)
              ORDER BY seq LIMIT 1)) AS kept_from,
         (SELECT whmcs_order FROM orders WHERE order_id = (
              SELECT order_id FROM fact WHERE marked = 1 AND seq > coalesce(
                  (SELECT seq FROM fact WHERE marked = 2 ORDER BY seq DESC LIMIT 1), 0)
              ORDER BY seq DESC LIMIT 1)) AS kept_to"
    };
}
pub(crate) use kept_columns;

/// Rows as the JSON that `rows_of!` reads.
pub(crate) fn parameter(rows: &[impl serde::Serialize]) -> String {
    serde_json::to_string(rows).expect("texts and numbers are JSON")
}

/// Reads a column as one of the three stored types.
pub(crate) trait Columns {
    fn maybe_text(&self, column: &'static str) -> Result<Option<String>, StoreError>;
    fn maybe_int(&self, column: &'static str) -> Result<Option<i64>, StoreError>;
    fn maybe_bytes(&self, column: &'static str) -> Result<Option<Vec<u8>>, StoreError>;

    fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.maybe_text(column)?.ok_or_else(|| absent(column))
    }

    fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        self.maybe_int(column)?.ok_or_else(|| absent(column))
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        self.int(column).map(Timestamp::from_millis)
    }

    fn maybe_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.maybe_int(column)?.map(Timestamp::from_millis))
    }
}

fn absent(column: &'static str) -> StoreError {
    corrupt(column, "it is NULL")
}

macro_rules! columns {
    ($($row:ty,)*) => {$(
        impl Columns for $row {
            fn maybe_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
                self.try_get(column).map_err(unavailable)
            }

            fn maybe_int(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
                self.try_get(column).map_err(unavailable)
            }

            fn maybe_bytes(&self, column: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
                self.try_get(column).map_err(unavailable)
            }
        }
    )*};
}

columns! { SqliteRow, PgRow, }

pub(crate) fn job(row: &impl Columns) -> Result<NewJob, StoreError> {
    Ok(NewJob {
        id: record::job_id(row.text("id")?)?,
        source: match row.text("source")?.as_str() {
            "event" => Source::Event,
            "reconcile" => Source::Reconcile,
            other => return Err(corrupt("job.source", format!("`{other}` is no source"))),
        },
        event: row.maybe_text("event_id")?.and_then(EventId::new),
        order: order(row)?,
        idem_key: row.maybe_text("idem_key")?.and_then(IdemKey::new),
        correlation: CorrelationId::new(row.text("correlation")?)
            .ok_or_else(|| corrupt("job.correlation", "it is blank"))?,
        requested_by: row.maybe_text("requested_by")?,
        requested_at: row.time("requested_at")?,
    })
}

pub(crate) fn order(row: &impl Columns) -> Result<OrderId, StoreError> {
    OrderId::parse(&row.text("order_id")?).map_err(|error| corrupt("order_id", error))
}

pub(crate) fn outcome(state: &str) -> Option<JobOutcome> {
    JobOutcome::ALL
        .into_iter()
        .find(|outcome| outcome.name() == state)
}

/// The columns of `kept_columns`.
pub(crate) fn marker_proof(row: &impl Columns) -> Result<Option<MarkerProof>, StoreError> {
    let order = |column| {
        let number = row.maybe_int(column)?;
        Ok::<_, StoreError>(number.and_then(|n| u64::try_from(n).ok()).map(WhmcsOrderId))
    };
    let (from, to) = (order("kept_from")?, order("kept_to")?);
    Ok(from.zip(to).map(|(from, to)| MarkerProof { from, to }))
}

/// A claimed job without the facts of its order.
pub(crate) fn claimed(
    row: &impl Columns,
    token: LeaseToken,
    at: Timestamp,
    marker_proof: Option<MarkerProof>,
) -> Result<Claimed, StoreError> {
    let job = job(row)?;
    Ok(Claimed {
        lease: Lease {
            job: job.id.clone(),
            order: job.order,
            token,
        },
        at,
        enqueued_at: row.time("enqueued_at")?,
        deferrals: u32::try_from(row.int("deferrals")?).unwrap_or(u32::MAX),
        facts: Vec::new(),
        marker_proof,
        job,
    })
}

pub(crate) fn view(row: &impl Columns) -> Result<JobView, StoreError> {
    let state = row.text("state")?;
    let stage = JobStage::parse(&state)
        .ok_or_else(|| corrupt("job.state", format!("`{state}` is no stage")))?;
    Ok(JobView {
        job: job(row)?,
        stage,
        enqueued_at: row.time("enqueued_at")?,
        due_at: match stage {
            JobStage::Queued => row.maybe_time("due_at")?,
            JobStage::Leased | JobStage::Ended(_) => None,
        },
        started_at: row.maybe_time("started_at")?,
        ended_at: row.maybe_time("ended_at")?,
    })
}

pub(crate) fn fact(row: &impl Columns) -> Result<RecordedFact, StoreError> {
    Ok(RecordedFact {
        at: row.time("at")?,
        job: record::job_id(row.text("job_id")?)?,
        fact: record::decode(&row.text("kind")?, &row.text("body")?)?,
    })
}

/// The position in a row of `stream`, while there is one.
pub(crate) fn cursor(row: &impl Columns) -> Result<Option<Cursor>, StoreError> {
    let position = row.maybe_bytes("replay_id")?.and_then(ReplayId::new);
    let committed_at = row.maybe_time("committed_at")?;
    Ok(position
        .zip(committed_at)
        .map(|(replay_id, committed_at)| Cursor {
            replay_id,
            committed_at,
        }))
}

pub(crate) fn stream(row: &impl Columns) -> Result<StreamView, StoreError> {
    let owner = row.maybe_text("owner")?.and_then(Owner::new);
    let epoch = Epoch::from_number(row.int("epoch")?);
    let until = row.time("lease_until")?;
    Ok(StreamView {
        cursor: cursor(row)?,
        leader: owner.map(|owner| (owner, epoch, until)),
        last_event_at: row.maybe_time("last_event_at")?,
    })
}
