//! Updates of leased jobs: those that wait together are one commit, each kind in one statement.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use domain::job::{JobOutcome, Lease};
use domain::ports::{CallRecord, JobUpdate, StoreError};
use domain::time::Timestamp;
use serde::Serialize;

use super::{Connection, for_update, notify_workers, one_of, rows_of, statement};
use crate::damage::{Damaged, set_aside_job, set_aside_order};
use crate::error::OrUnavailable;
use crate::list::Change;
use crate::record;
use crate::row::{Columns, parameter};
use crate::update::JobValues;
use crate::view::{self, limit};

/// Applies the updates whose leases are valid and whose workers know all facts, in one commit. Each
/// job occurs once. Returns for each whether it is applied, now or before.
pub(crate) async fn apply(
    connection: &mut Connection,
    updates: Vec<(Lease, JobUpdate)>,
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    let updates: Vec<_> = updates
        .iter()
        .map(|(lease, update)| Leased {
            lease,
            update,
            new: JobValues::of(update),
        })
        .collect();
    let held = hold(connection, updates.iter().map(|update| update.lease), now).await?;
    let turns: Vec<_> = updates
        .iter()
        .map(|update| Turn::of(update, held.get(update.lease.token.as_str())))
        .collect();
    let turn = updates.iter().zip(&turns);
    let new: Vec<_> = turn
        .filter_map(|(update, turn)| (*turn == Turn::Now).then_some(update))
        .collect();
    jobs(connection, &new, &held, now).await?;
    facts(connection, &new, now).await?;
    calls(connection, &new).await?;
    orders(connection, &new, now).await?;
    // This process is shutting down: another may take the job at once.
    if new.iter().any(|update| update.new.is_due_now()) {
        notify_workers(connection).await?;
    }
    Ok(turns.iter().map(|turn| *turn != Turn::Never).collect())
}

/// When an update is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Now,
    /// It was applied before, and its answer was lost.
    Before,
    /// The lease is lost, or the order has other facts than its worker knows.
    Never,
}

impl Turn {
    fn of(update: &Leased<'_>, held: Option<&Held>) -> Self {
        let (new, Some(held)) = (&update.update.facts, held) else {
            return Self::Never;
        };
        match update.update.known {
            None => Self::Now,
            Some(known) if held.facts == known => Self::Now,
            Some(known) if update.new.is_kept() && held.facts == known + new.len() => Self::Before,
            Some(_) => Self::Never,
        }
    }
}

/// Extends the leases to `ttl` from now; returns those that were lost.
pub(crate) async fn renew(
    connection: &mut Connection,
    (leases, ttl): (Vec<Lease>, Duration),
    now: Timestamp,
) -> Result<Vec<Lease>, StoreError> {
    #[derive(Serialize)]
    struct Job<'h> {
        job: &'h str,
    }
    let held = hold(connection, &leases, now).await?;
    let (held, lost): (Vec<_>, Vec<_>) = leases
        .into_iter()
        .partition(|lease| held.contains_key(lease.token.as_str()));
    let jobs = held.iter().map(|lease| Job {
        job: lease.job.as_str(),
    });
    let text = concat!(
        "UPDATE job SET lease_until = $1 WHERE id ",
        one_of!("$2", job "text")
    );
    write(connection, text, now + ttl, &jobs.collect::<Vec<_>>()).await?;
    Ok(lost)
}

/// A job whose lease is valid until the commit.
struct Held {
    /// How often it was deferred.
    deferrals: i64,
    /// How many facts its order has.
    facts: usize,
}

/// Locks the jobs whose leases are valid until the commit. Returns them by their tokens.
///
/// A lease that ran out is lost even while nobody else has taken the job: the token alone would let
/// a paused owner write at that moment. In the order of the ids, as everywhere where several rows
/// are locked: no deadlocks. The condition on the state is kept from the indexes of leased jobs, which
/// a planner with old statistics takes for empty: it is the id that finds a job.
async fn hold(
    connection: &mut Connection,
    leases: impl IntoIterator<Item = &Lease>,
    now: Timestamp,
) -> Result<HashMap<String, Held>, StoreError> {
    #[derive(Serialize)]
    struct Given<'l> {
        job: &'l str,
    }
    let leases: Vec<_> = leases.into_iter().collect();
    let given = leases.iter().map(|lease| Given {
        job: lease.job.as_str(),
    });
    let rows = statement(concat!(
        "SELECT fence, deferrals,
             (SELECT count(*) FROM fact WHERE fact.order_id = job.order_id) AS facts
         FROM job WHERE id ",
        one_of!("$2", job "text"),
        " AND state || '' = 'leased' AND lease_until > $1 ORDER BY id",
        for_update!()
    ))
    .bind(now.as_millis())
    .bind(parameter(&given.collect::<Vec<_>>()))
    .fetch_all(connection)
    .await
    .or_unavailable()?;
    let tokens: HashSet<_> = leases.iter().map(|lease| lease.token.as_str()).collect();
    let mut held = HashMap::new();
    for row in &rows {
        let token = row.text("fence")?;
        if tokens.contains(token.as_str()) {
            let job = Held {
                deferrals: row.int("deferrals")?,
                facts: usize::try_from(row.int("facts")?).unwrap_or(usize::MAX),
            };
            held.insert(token, job);
        }
    }
    Ok(held)
}

/// Ends a job that cannot be decoded.
pub(crate) async fn set_aside(
    connection: &mut Connection,
    job: &Damaged,
    now: Timestamp,
) -> Result<(), StoreError> {
    statement(set_aside_job!())
        .bind(job.seq)
        .bind(now.as_millis())
        .bind(job.cause.clone())
        .execute(&mut *connection)
        .await
        .or_unavailable()?;
    statement(set_aside_order!())
        .bind(job.order.clone())
        .bind(now.as_millis())
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}

/// Executes a statement that takes a time and these rows, unless there are none.
async fn write(
    connection: &mut Connection,
    text: &'static str,
    time: Timestamp,
    rows: &[impl Serialize],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    statement(text)
        .bind(time.as_millis())
        .bind(parameter(rows))
        .execute(connection)
        .await
        .or_unavailable()
        .map(|_| ())
}

/// An update as it is written.
struct Leased<'u> {
    lease: &'u Lease,
    update: &'u JobUpdate,
    new: JobValues,
}

/// Changes the rows of the jobs that their workers do not keep, or that had been deferred.
async fn jobs(
    connection: &mut Connection,
    updates: &[&Leased<'_>],
    held: &HashMap<String, Held>,
    now: Timestamp,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Job<'u> {
        job: &'u str,
        is_kept: bool,
        next_state: &'static str,
        due_after: i64,
        deferred: i64,
        cause: Option<&'u str>,
    }
    let changed = updates.iter().filter_map(|update| {
        let (new, job) = (&update.new, update.lease.job.as_str());
        let token = update.lease.token.as_str();
        let deferrals = held.get(token).map_or(0, |held| held.deferrals);
        if new.is_kept() && deferrals == 0 {
            return None;
        }
        let is_progress = new.is_kept() || !update.update.facts.is_empty();
        let in_a_row = if is_progress { 0 } else { deferrals };
        Some(Job {
            job,
            is_kept: new.is_kept(),
            next_state: new.state,
            due_after: new.due_after,
            deferred: in_a_row + new.deferrals,
            cause: new.set_aside.as_deref(),
        })
    });
    let changed: Vec<_> = changed.collect();
    let text = concat!(
        "UPDATE job SET state = given.next_state,
             fence = CASE WHEN given.is_kept THEN fence END,
             lease_until = CASE WHEN given.is_kept THEN lease_until END,
             due_at = CASE given.next_state WHEN 'queued' THEN $1 + given.due_after ELSE due_at END,
             deferrals = given.deferred,
             ended_at = CASE WHEN given.next_state NOT IN ('leased', 'queued') THEN $1 END,
             set_aside = given.cause
         FROM ",
        rows_of!("$2", job "text", is_kept "boolean", next_state "text", due_after "bigint",
            deferred "bigint", cause "text"),
        " WHERE id = given.job"
    );
    write(connection, text, now, &changed).await
}

/// Appends the facts.
async fn facts(
    connection: &mut Connection,
    updates: &[&Leased<'_>],
    now: Timestamp,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Row<'u> {
        order_id: &'u str,
        job_id: &'u str,
        kind: &'static str,
        marked: i64,
        body: String,
    }
    let new: Vec<_> = updates
        .iter()
        .flat_map(|update| {
            update.update.facts.iter().map(|fact| Row {
                order_id: update.lease.order.as_str(),
                job_id: update.lease.job.as_str(),
                kind: fact.name(),
                marked: record::marker_evidence(fact),
                body: record::encode(fact).to_string(),
            })
        })
        .collect();
    let text = concat!(
        "INSERT INTO fact (order_id, job_id, at, kind, marked, body)
         SELECT order_id, job_id, $1, kind, marked, body FROM ",
        rows_of!("$2", order_id "text", job_id "text", kind "text", marked "bigint", body "text"),
        " ORDER BY place"
    );
    write(connection, text, now, &new).await
}

/// Appends the calls, numbered within their jobs, and forgets the oldest of a job beyond
/// [`CallRecord::MAX_KEPT`]. The jobs' rows are locked: nobody else numbers their calls.
async fn calls(connection: &mut Connection, updates: &[&Leased<'_>]) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Row<'u> {
        of_order: &'u str,
        of_job: &'u str,
        nth: i64,
        called_at: i64,
        duration: i64,
        called: &'static str,
        answer: &'static str,
    }
    let new: Vec<_> = updates
        .iter()
        .flat_map(|update| {
            let (skipped, newest) = CallRecord::newest(&update.update.calls);
            newest.iter().zip(skipped + 1..).map(|(call, nth)| Row {
                of_order: update.lease.order.as_str(),
                of_job: update.lease.job.as_str(),
                nth: limit(nth),
                called_at: call.at.as_millis(),
                duration: view::took(call),
                called: call.action.name(),
                answer: call.outcome.name(),
            })
        })
        .collect();
    if new.is_empty() {
        return Ok(());
    }
    let new = parameter(&new);
    let numbers = statement(concat!(
        "INSERT INTO outside_call (order_id, job_id, number, at, took, action, outcome)
         SELECT of_order, of_job,
             nth + coalesce((SELECT max(number) FROM outside_call
                 WHERE order_id = of_order AND job_id = of_job), 0),
             called_at, duration, called, answer
         FROM ",
        rows_of!("$1", of_order "text", of_job "text", nth "bigint", called_at "bigint",
            duration "bigint", called "text", answer "text"),
        " ORDER BY place RETURNING number"
    ))
    .bind(new.clone())
    .fetch_all(&mut *connection)
    .await
    .or_unavailable()?;
    let numbers = numbers.iter().map(|row| row.int("number"));
    let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
    if numbers.into_iter().max() <= Some(limit(CallRecord::MAX_KEPT)) {
        return Ok(());
    }
    statement(concat!(
        "DELETE FROM outside_call
         WHERE (order_id, job_id) IN (SELECT of_order, of_job FROM ",
        rows_of!("$1", of_order "text", of_job "text"),
        ") AND number <= $2 + (SELECT max(newest.number) FROM outside_call AS newest
             WHERE newest.order_id = outside_call.order_id AND newest.job_id = outside_call.job_id)"
    ))
    .bind(new)
    .bind(-limit(CallRecord::MAX_KEPT))
    .execute(connection)
    .await
    .or_unavailable()
    .map(|_| ())
}

/// Changes the list of orders. A job that ended is shown whatever its facts are; its order stays
/// live while another job is queued.
async fn orders(
    connection: &mut Connection,
    updates: &[&Leased<'_>],
    now: Timestamp,
) -> Result<(), StoreError> {
    #[derive(Serialize)]
    struct Row<'u> {
        of_order: &'u str,
        ended: &'static str,
        shown_number: Option<String>,
        shown_account: Option<String>,
        placed: Option<i64>,
        failure: Option<&'static str>,
        keeps_failure: bool,
        new_attempts: i64,
    }
    let changed = updates.iter().filter_map(|update| {
        let change = Change::of(&update.update.facts);
        if change.is_none() && update.new.outcome.is_none() {
            return None;
        }
        let mut change = change.unwrap_or_default();
        if update.new.set_aside.is_some() {
            change.code = Some(Some(domain::failure::Code::Internal.as_str()));
        }
        Some(Row {
            of_order: update.lease.order.as_str(),
            ended: update.new.outcome.map_or("live", JobOutcome::name),
            shown_number: change.number,
            shown_account: change.account,
            placed: change.whmcs_order,
            failure: change.code.flatten(),
            keeps_failure: change.code.is_none(),
            new_attempts: change.attempts,
        })
    });
    let changed: Vec<_> = changed.collect();
    // In the order of the ids, as everywhere where several are locked: no deadlocks. The oldest live
    // job is asked for, not whether there is one: for that, PostgreSQL may read all live jobs.
    let text = concat!(
        "INSERT INTO orders (order_id, number, account, whmcs_order, stage, code, attempts,
             updated_at)
         SELECT of_order, shown_number, shown_account, placed,
             CASE WHEN (SELECT min(job.seq) FROM job
                     WHERE job.order_id = of_order AND job.state IN ('queued', 'leased')) > 0
                 THEN 'live' ELSE ended END,
             CASE WHEN keeps_failure
                 THEN (SELECT known.code FROM orders AS known WHERE known.order_id = of_order)
                 ELSE failure END,
             new_attempts, $1
         FROM ",
        rows_of!("$2", of_order "text", ended "text", shown_number "text", shown_account "text",
            placed "bigint", failure "text", keeps_failure "boolean", new_attempts "bigint"),
        " WHERE true ORDER BY of_order
         ON CONFLICT (order_id) DO UPDATE SET
             number = coalesce(excluded.number, orders.number),
             account = coalesce(excluded.account, orders.account),
             whmcs_order = coalesce(excluded.whmcs_order, orders.whmcs_order),
             stage = excluded.stage,
             code = excluded.code,
             attempts = orders.attempts + excluded.attempts,
             updated_at = excluded.updated_at"
    );
    write(connection, text, now, &changed).await
}
