//! Handling of rows that cannot be decoded.

use domain::ports::StoreError;
use error_chain::chain;
use operations::UnreadableJobs;

use crate::row::Columns;

/// The longest cause that is kept, in characters.
const CAUSE: usize = 500;

/// A due job that cannot be read, itself or its order's facts.
#[derive(Debug)]
pub(crate) struct Damaged {
    pub(crate) seq: i64,
    job: String,
    pub(crate) order: String,
    /// The error with its causes.
    pub(crate) cause: String,
}

impl Damaged {
    /// The job in this row that cannot be claimed because of `error`; an error that does not concern
    /// the row is returned as it is.
    pub(crate) fn of(row: &impl Columns, error: StoreError) -> Result<Self, StoreError> {
        let StoreError::Corrupt { .. } = &error else {
            return Err(error);
        };
        let text = |column| row.text(column).unwrap_or_default();
        Ok(Self {
            seq: row.int("seq")?,
            job: text("id"),
            order: text("order_id"),
            cause: storable(&chain(&error).to_string()),
        })
    }

    /// Logs and counts the job after it was set aside.
    pub(crate) fn report(&self) {
        count();
        tracing::error!(
            job = self.job,
            order = self.order,
            seq = self.seq,
            cause = self.cause,
            "a job cannot be read and was set aside; it ended failed with INTERNAL"
        );
    }
}

const SET_ASIDE_TOTAL: &str = "orderbridge_jobs_set_aside_total";

/// Counts a job that was set aside.
pub(crate) fn count() {
    metrics::counter!(SET_ASIDE_TOTAL).increment(1);
}

/// Registers the counter.
pub(crate) fn register() {
    metrics::counter!(SET_ASIDE_TOTAL).increment(0);
}

/// Fails the job `$1` at `$2` with the cause `$3`, on both engines.
macro_rules! set_aside_job {
    () => {
        "UPDATE job SET state = 'failed', fence = NULL, lease_until = NULL, ended_at = $2,
             set_aside = $3
         WHERE seq = $1"
    };
}
pub(crate) use set_aside_job;

/// Lists the order `$1` as failed at `$2`, unless it has another live job.
macro_rules! set_aside_order {
    () => {
        "UPDATE orders SET code = 'INTERNAL', updated_at = $2,
             stage = CASE WHEN EXISTS (
                     SELECT 1 FROM job AS other WHERE other.order_id = orders.order_id
                       AND other.state IN ('queued', 'leased'))
                 THEN 'live' ELSE 'failed' END
         WHERE order_id = $1"
    };
}
pub(crate) use set_aside_order;

/// What was set aside since `$1`.
macro_rules! set_aside_lately {
    () => {
        "SELECT order_id, set_aside, count(*) OVER () AS jobs FROM job
         WHERE set_aside IS NOT NULL AND ended_at > $1 ORDER BY ended_at DESC, seq DESC LIMIT 1"
    };
}
pub(crate) use set_aside_lately;

pub(crate) fn set_aside_of(found: Option<&impl Columns>) -> Result<UnreadableJobs, StoreError> {
    let Some(found) = found else {
        return Ok(UnreadableJobs::default());
    };
    Ok(UnreadableJobs {
        jobs: u64::try_from(found.int("jobs")?).unwrap_or(0),
        order: found.text("order_id").unwrap_or_default(),
        cause: found.text("set_aside")?,
    })
}

/// The rows that can be decoded. The others are logged and left out: one bad row must not make a
/// whole list fail.
pub(crate) fn readable<R, T>(
    rows: &[R],
    read: impl Fn(&R) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let found = rows.iter().filter_map(|row| match read(row) {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!(
                cause = %chain(&error),
                "a row cannot be read and is not shown"
            );
            None
        }
        read => Some(read),
    });
    found.collect()
}

/// A cause as both engines can store it.
pub(crate) fn storable(text: &str) -> String {
    let shown = text.chars().take(CAUSE);
    shown.filter(|c| !c.is_control()).collect()
}
