//! Mapping of list rows to the domain's views.

use std::time::Duration;

use domain::failure::Code;
use domain::id::AccountId;
use domain::key::{Channel, DeadLetterId, EventId, ReplayId, WhmcsOrderId};
use domain::ports::{
    CallAction, CallOutcome, CallRecord, DeadLetter, DeadLetterView, StoreError, Undecodable,
    UndecodableReason,
};
use operations::{
    Acknowledgement, AuditEntry, CursorChange, CursorHistoryEntry, FinishedJob, GapView, JobStage,
    OrderRow, Pausable, Pause, RecordedCall,
};

use crate::error::corrupt;
use crate::record;
use crate::row::{self, Columns};

/// The columns of a job that views show.
macro_rules! view_columns {
    () => {
        "id, source, event_id, order_id, idem_key, correlation, requested_by, requested_at,
         enqueued_at, due_at, state, started_at, ended_at"
    };
}
pub(crate) use view_columns;

/// Finished jobs with the code of their failure; completes a statement.
macro_rules! finished_jobs {
    () => {
        "SELECT id, order_id, state, requested_at, ended_at,
             (SELECT body FROM fact WHERE fact.order_id = job.order_id AND fact.job_id = job.id
                AND kind = 'refused' ORDER BY fact.seq DESC LIMIT 1) AS refusal
         FROM job WHERE ended_at >= $1 ORDER BY ended_at DESC, seq DESC LIMIT $2"
    };
}
pub(crate) use finished_jobs;

/// The calls of an order's jobs, each job's in their sequence.
macro_rules! calls {
    () => {
        "SELECT job_id, number, at, took, action, outcome FROM outside_call
         WHERE order_id = $1 ORDER BY job_id, number"
    };
}
pub(crate) use calls;

pub(crate) fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(crate) fn order(found: &impl Columns) -> Result<OrderRow, StoreError> {
    let stage = found.text("stage")?;
    let code = found.maybe_text("code")?;
    let account = found.maybe_text("account")?;
    let handled_by = found.maybe_text("handled_by")?;
    Ok(OrderRow {
        order: row::order(found)?,
        number: found.maybe_text("number")?,
        account: account
            .map(|text| AccountId::parse(&text).map_err(|error| corrupt("orders.account", error)))
            .transpose()?,
        whmcs_order: found
            .maybe_int("whmcs_order")?
            .map(|number| WhmcsOrderId(u64::try_from(number).unwrap_or(0))),
        stage: JobStage::parse(&stage)
            .ok_or_else(|| corrupt("orders.stage", format!("`{stage}` is no stage")))?,
        code: code
            .map(|text| {
                text.parse::<Code>()
                    .map_err(|error| corrupt("orders.code", error))
            })
            .transpose()?,
        attempts: u32::try_from(found.int("attempts")?).unwrap_or(u32::MAX),
        updated_at: found.time("updated_at")?,
        handled: match handled_by {
            None => None,
            Some(who) => Some(Acknowledgement {
                who,
                why: found.text("handled_why")?,
                at: found.time("handled_at")?,
            }),
        },
    })
}

fn channel(found: &impl Columns) -> Result<Channel, StoreError> {
    Channel::new(found.text("channel")?).ok_or_else(|| corrupt("channel", "it is blank"))
}

pub(crate) fn dead_letter(found: &impl Columns) -> Result<DeadLetterView, StoreError> {
    let reason = found.text("reason")?;
    let unknown = || corrupt("dead_letter.reason", format!("`{reason}` is no reason"));
    let event = EventId::new(found.text("event_id")?);
    Ok(DeadLetterView {
        number: DeadLetterId(found.int("seq")?),
        channel: channel(found)?,
        dead_letter: DeadLetter {
            event: event.ok_or_else(|| corrupt("dead_letter.event_id", "it is blank"))?,
            replay_id: found.maybe_bytes("replay_id")?.and_then(ReplayId::new),
            undecodable: Undecodable {
                reason: UndecodableReason::parse(&reason).ok_or_else(unknown)?,
                detail: found.text("detail")?,
                schema_id: found.text("schema_id")?,
                payload: found.maybe_bytes("payload")?.unwrap_or_default(),
                fields: record::decode_fields(found.maybe_text("fields")?.as_deref())?,
            },
        },
        received_at: found.time("received_at")?,
        closed_at: found.maybe_time("closed_at")?,
        asked_at: found.maybe_time("asked_at")?,
    })
}

pub(crate) fn gap(found: &impl Columns) -> Result<GapView, StoreError> {
    Ok(GapView {
        channel: channel(found)?,
        from: found.maybe_time("from_at")?,
        until: found.time("until_at")?,
        detail: found.text("detail")?,
    })
}

pub(crate) fn mark(found: &impl Columns) -> Result<CursorHistoryEntry, StoreError> {
    let kind = found.text("kind")?;
    Ok(CursorHistoryEntry {
        at: found.time("at")?,
        kind: CursorChange::parse(&kind)
            .ok_or_else(|| corrupt("cursor_mark.kind", format!("`{kind}` is no kind")))?,
        replay_id: found.maybe_bytes("replay_id")?.and_then(ReplayId::new),
        detail: found.text("detail")?,
    })
}

pub(crate) fn audit(found: &impl Columns) -> Result<AuditEntry, StoreError> {
    Ok(AuditEntry {
        at: found.time("at")?,
        who: found.text("who")?,
        act: found.text("act")?,
        subject: found.text("subject")?,
        reason: found.text("reason")?,
    })
}

pub(crate) fn outcome(found: &impl Columns) -> Result<FinishedJob, StoreError> {
    let state = found.text("state")?;
    let refusal = found.maybe_text("refusal")?;
    Ok(FinishedJob {
        job: record::job_id(found.text("id")?)?,
        order: row::order(found)?,
        outcome: row::outcome(&state)
            .ok_or_else(|| corrupt("job.state", format!("`{state}` is no ending")))?,
        code: match refusal {
            None => None,
            // An unreadable job is reported where it is claimed.
            Some(body) => match record::decode("refused", &body) {
                Ok(domain::order::Fact::Refused(refusal)) => Some(refusal.code),
                _ => None,
            },
        },
        requested_at: found.time("requested_at")?,
        ended_at: found.time("ended_at")?,
    })
}

pub(crate) fn took(call: &CallRecord) -> i64 {
    i64::try_from(call.took.as_millis()).unwrap_or(i64::MAX)
}

pub(crate) fn call(found: &impl Columns) -> Result<RecordedCall, StoreError> {
    let (action, outcome) = (found.text("action")?, found.text("outcome")?);
    let natural = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(RecordedCall {
        job: record::job_id(found.text("job_id")?)?,
        number: natural(found.int("number")?),
        call: CallRecord {
            at: found.time("at")?,
            took: Duration::from_millis(natural(found.int("took")?)),
            action: CallAction::parse(&action).ok_or_else(|| {
                corrupt("outside_call.action", format!("`{action}` is no action"))
            })?,
            outcome: CallOutcome::parse(&outcome).ok_or_else(|| {
                corrupt("outside_call.outcome", format!("`{outcome}` is no outcome"))
            })?,
        },
    })
}

pub(crate) fn pause(found: &impl Columns) -> Result<Pause, StoreError> {
    let what = found.text("what")?;
    Ok(Pause {
        what: Pausable::parse(&what)
            .ok_or_else(|| corrupt("pause.what", format!("`{what}` cannot be paused")))?,
        by: found.text("who")?,
        reason: found.text("reason")?,
        since: found.time("since")?,
    })
}
