//! Queue statistics, the same on both engines. Finished jobs are many and never scanned.

use domain::job::JobOutcome;
use domain::ports::StoreError;
use operations::{JobStage, QueueStats, StuckOrders};

use crate::row::{self, Columns};

/// Open dead letters.
macro_rules! open_letters {
    () => {
        "SELECT count(*) AS letters FROM dead_letter WHERE closed_at IS NULL"
    };
}
pub(crate) use open_letters;

/// Live jobs, by the partial indexes of either kind, since when the oldest is due at `$1`, and
/// open dead letters.
macro_rules! live {
    () => {
        "SELECT (SELECT count(*) FROM job WHERE state = 'queued') AS queued,
             (SELECT count(*) FROM job WHERE state = 'leased') AS leased,
             (SELECT min(due_at) FROM job WHERE state = 'queued' AND due_at <= $1) AS due,
             (SELECT count(*) FROM dead_letter WHERE closed_at IS NULL) AS letters"
    };
}
pub(crate) use live;

/// Jobs that have ended, by state.
macro_rules! ended {
    () => {
        "SELECT state, CAST(sum(jobs) AS bigint) AS jobs FROM ended_jobs GROUP BY state"
    };
}
pub(crate) use ended;

/// Orders that were enqueued by `$1` and had no fact since `$2`.
macro_rules! stuck {
    () => {
        "SELECT order_id, enqueued_at, count(*) OVER () AS orders FROM (
             SELECT order_id, min(enqueued_at) AS enqueued_at FROM job
             WHERE state IN ('queued', 'leased') GROUP BY order_id) AS live
         WHERE enqueued_at <= $1 AND coalesce(
             (SELECT at FROM fact WHERE fact.order_id = live.order_id
              ORDER BY seq DESC LIMIT 1), enqueued_at) <= $2
         ORDER BY enqueued_at, order_id LIMIT 1"
    };
}
pub(crate) use stuck;

/// When our marker was last dropped, unless a later order kept it.
macro_rules! marker_lost {
    () => {
        "SELECT at FROM fact WHERE marked = 2 AND seq > (
             SELECT seq FROM fact WHERE marked = 1 ORDER BY seq DESC LIMIT 1)
         ORDER BY seq DESC LIMIT 1"
    };
}
pub(crate) use marker_lost;

pub(crate) fn letters_of(found: &impl Columns) -> Result<u64, StoreError> {
    count(found, "letters")
}

pub(crate) fn tally_of<R: Columns>(live: &R, ended: &[R]) -> Result<QueueStats, StoreError> {
    let mut jobs = vec![
        (JobStage::Queued, count(live, "queued")?),
        (JobStage::Leased, count(live, "leased")?),
    ];
    jobs.extend(JobOutcome::ALL.map(|outcome| (JobStage::Ended(outcome), 0)));
    for found in ended {
        let state = found.text("state")?;
        if let Some(slot) = jobs.iter_mut().find(|(stage, _)| stage.name() == state) {
            slot.1 = count(found, "jobs")?;
        }
    }
    Ok(QueueStats {
        jobs,
        oldest_due: live.maybe_time("due")?,
        open_dead_letters: letters_of(live)?,
    })
}

pub(crate) fn stuck_of(found: Option<&impl Columns>) -> Result<StuckOrders, StoreError> {
    let Some(found) = found else {
        return Ok(StuckOrders::default());
    };
    let since = found.time("enqueued_at")?;
    Ok(StuckOrders {
        orders: count(found, "orders")?,
        // A row whose order id is invalid is set aside when it is claimed.
        oldest: row::order(found).ok().map(|order| (order, since)),
    })
}

fn count(found: &impl Columns, column: &'static str) -> Result<u64, StoreError> {
    Ok(u64::try_from(found.int(column)?).unwrap_or(0))
}
