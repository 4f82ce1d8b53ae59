//! Rows that cannot be read.

use std::error::Error;
use std::fmt::Write;

use domain::ports::{UnreadableJobs, StoreError};

use crate::row::Columns;

/// The longest cause that is kept, in characters.
const CAUSE: usize = 500;

/// A due job that cannot be read, itself or its order's facts.
#[derive(Debug)]
pub(crate) struct Damaged {
    pub(crate) seq: i64,
    job: String,
    order: String,
    /// What is wrong with it, with all causes.
    pub(crate) cause: String,
}

impl Damaged {
    /// The job in this row, which `error` keeps from being claimed; an error that says nothing
    /// about the row is answered as it is.
    pub(crate) fn of(row: &impl Columns, error: StoreError) -> Result<Self, StoreError> {
        let StoreError::Corrupt { .. } = &error else {
            return Err(error);
        };
        let text = |column| row.text(column).unwrap_or_default();
        Ok(Self {
            seq: row.int("seq")?,
            job: text("id"),
            order: text("order_id"),
            cause: storable(&chain(&error)),
        })
    }

    /// Tells of it, once it was set aside.
    pub(crate) fn report(&self) {
        metrics::counter!(SET_ASIDE_TOTAL).increment(1);
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

/// Shows the counter at zero.
pub(crate) fn register() {
    metrics::counter!(SET_ASIDE_TOTAL).increment(0);
}

/// Ends the job `$1` at `$2` for the cause `$3`, both engines alike.
macro_rules! set_aside_job {
    () => {
        "UPDATE job SET state = 'failed', fence = NULL, lease_until = NULL, ended_at = $2,
             set_aside = $3
         WHERE seq = $1"
    };
}
pub(crate) use set_aside_job;

/// Lists its order as failed, where the order can be told.
macro_rules! set_aside_order {
    () => {
        "UPDATE orders SET code = 'INTERNAL', updated_at = $2,
             stage = CASE WHEN EXISTS (
                     SELECT 1 FROM job AS other WHERE other.order_id = orders.order_id
                       AND other.state IN ('queued', 'leased'))
                 THEN 'live' ELSE 'failed' END
         WHERE order_id = (SELECT order_id FROM job WHERE seq = $1)"
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

/// What can be read of these rows. What cannot is logged and left out: a list must not fail for
/// everybody because of one row of it.
pub(crate) fn readable<R, T>(
    rows: &[R],
    read: impl Fn(&R) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let found = rows.iter().filter_map(|row| match read(row) {
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::warn!(
                cause = chain(&error),
                "a row cannot be read and is not shown"
            );
            None
        }
        read => Some(read),
    });
    found.collect()
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        // Writing to a String cannot fail.
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}

fn storable(text: &str) -> String {
    let shown = text.chars().take(CAUSE);
    shown.filter(|c| !c.is_control()).collect()
}
