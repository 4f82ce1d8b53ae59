//! Table cells and JSON of orders, jobs, facts and dead letters.

use domain::order::{Fact, MarkerCheck};
use domain::ports::{CallAction, DeadLetterView};
use domain::time::Timestamp;
use operations::{
    AuditEntry, CursorHistoryEntry, GapView, JobView, OrderRow, Pause, RecordedCall, RecordedFact,
    StreamView,
};
use runtime::rfc3339;
use serde_json::{Value, json};

pub(crate) const ORDERS: &[&str] = &[
    "ORDER",
    "NUMBER",
    "STATE",
    "CODE",
    "WHMCS",
    "ATTEMPTS",
    "UPDATED",
    "HANDLED BY",
];
pub(crate) const JOBS: &[&str] = &["JOB", "ORDER", "STATE", "SOURCE", "REQUESTED", "ENDED"];
pub(crate) const DEAD_LETTERS: &[&str] =
    &["NUMBER", "EVENT", "REASON", "RECEIVED", "CLOSED", "DETAIL"];
pub(crate) const AUDIT: &[&str] = &["AT", "WHO", "ACT", "SUBJECT", "REASON"];
pub(crate) const CURSOR_HISTORY: &[&str] = &["AT", "WHAT", "REPLAY ID", "DETAIL"];
pub(crate) const GAPS: &[&str] = &["FROM", "UNTIL", "CHANNEL", "DETAIL"];

pub(crate) fn maybe<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

pub(crate) fn when(at: Option<Timestamp>) -> String {
    maybe(at.map(rfc3339))
}

pub(crate) fn order(row: &OrderRow) -> (Vec<String>, Value) {
    let cells = vec![
        row.order.to_string(),
        maybe(row.number.as_ref()),
        row.stage.name().to_owned(),
        maybe(row.code),
        maybe(row.whmcs_order),
        row.attempts.to_string(),
        rfc3339(row.updated_at),
        maybe(row.handled.as_ref().map(|handled| &handled.who)),
    ];
    (cells, order_value(row))
}

pub(crate) fn order_value(row: &OrderRow) -> Value {
    json!({
        "order": row.order.as_str(),
        "number": row.number,
        "account": row.account.as_ref().map(domain::id::Id::as_str),
        "whmcsOrder": row.whmcs_order.map(|order| order.0),
        "state": row.stage.name(),
        "code": row.code.map(domain::failure::Code::as_str),
        "attempts": row.attempts,
        "updatedAt": rfc3339(row.updated_at),
        "handled": row.handled.as_ref().map(|handled| json!({
            "who": handled.who, "why": handled.why, "at": rfc3339(handled.at),
        })),
    })
}

pub(crate) fn job(view: &JobView) -> (Vec<String>, Value) {
    let job = &view.job;
    let cells = vec![
        job.id.to_string(),
        job.order.to_string(),
        view.stage.name().to_owned(),
        job.source.name().to_owned(),
        rfc3339(job.requested_at),
        when(view.ended_at),
    ];
    (cells, job_value(view))
}

pub(crate) fn job_value(view: &JobView) -> Value {
    let job = &view.job;
    json!({
        "job": job.id.as_str(),
        "order": job.order.as_str(),
        "state": view.stage.name(),
        "source": job.source.name(),
        "event": job.event.as_ref().map(domain::key::EventId::as_str),
        "idemKey": job.idem_key.as_ref().map(domain::key::IdemKey::as_str),
        "correlationId": job.correlation.as_str(),
        "requestedBy": job.requested_by,
        "requestedAt": rfc3339(job.requested_at),
        "enqueuedAt": rfc3339(view.enqueued_at),
        "dueAt": view.due_at.map(rfc3339),
        "startedAt": view.started_at.map(rfc3339),
        "endedAt": view.ended_at.map(rfc3339),
    })
}

pub(crate) fn fact(recorded: &RecordedFact) -> (Vec<String>, Value) {
    let (at, name) = (rfc3339(recorded.at), recorded.fact.name());
    let detail = detail(&recorded.fact);
    let value = json!({
        "at": at, "job": recorded.job.as_str(), "fact": name, "detail": detail,
    });
    (vec![at, name.to_owned(), detail], value)
}

/// A call, as a line of the timeline between the facts.
pub(crate) fn call(recorded: &RecordedCall) -> (Vec<String>, Value) {
    let call = recorded.call;
    let (at, name) = (rfc3339(call.at), call.action.name());
    let took = u64::try_from(call.took.as_millis()).unwrap_or(u64::MAX);
    let system = call.action.system().name();
    let detail = format!("{system}: {} in {took} ms", call.outcome.words());
    let value = json!({
        "at": at, "job": recorded.job.as_str(), "call": name, "number": recorded.number,
        "system": system, "outcome": call.outcome.name(), "tookMs": took,
    });
    (vec![at, name.to_owned(), detail], value)
}

/// Facts and calls in order of time.
pub(crate) fn timeline(
    facts: &[RecordedFact],
    calls: &[RecordedCall],
) -> Vec<(Vec<String>, Value)> {
    let is_intent = |fact: &Fact| CallAction::ALL.iter().any(|call| call.is_intended_by(fact));
    // At equal times a call follows its intent and precedes its result.
    let facts = facts.iter().map(|recorded| {
        let rank = if is_intent(&recorded.fact) { 0 } else { 2 };
        ((recorded.at, rank), fact(recorded))
    });
    let calls = calls
        .iter()
        .map(|recorded| ((recorded.call.at, 1), call(recorded)));
    let mut lines: Vec<_> = calls.chain(facts).collect();
    lines.sort_by_key(|(key, _)| *key);
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Details of a fact, for tables and JSON.
fn detail(fact: &Fact) -> String {
    match fact {
        Fact::Checked { job, .. } => format!("attempt begun by job {job}"),
        Fact::Client { client } => format!("WHMCS client {client}"),
        Fact::Placing { watermark, .. } => {
            format!("AddOrder begins; the client's newest order is {watermark}")
        }
        Fact::Placed { order } => format!("WHMCS order {order}"),
        Fact::Verified { lines, marker } => {
            let marks = match marker {
                MarkerCheck::Kept => "with",
                MarkerCheck::Dropped | MarkerCheck::Unchecked => "without",
            };
            format!("{} services, {marks} our marks", lines.len())
        }
        Fact::Creating { service, .. } => format!("ModuleCreate begins for service {service}"),
        Fact::Created { service } => format!("service {service}"),
        Fact::AcceptFailed { text } => text.clone(),
        Fact::CreateFailed { service, text } => format!("service {service}: {text}"),
        Fact::Refused(refusal) => format!("{}: {}", refusal.code, refusal.detail),
        Fact::Forgotten { order } => format!("WHMCS order {order} forgotten"),
        _ => String::new(),
    }
}

pub(crate) fn dead_letter(view: &DeadLetterView) -> (Vec<String>, Value) {
    let (dead_letter, reason) = (
        &view.dead_letter,
        view.dead_letter.undecodable.reason.name(),
    );
    let cells = vec![
        view.number.to_string(),
        dead_letter.event.to_string(),
        reason.to_owned(),
        rfc3339(view.received_at),
        when(view.closed_at),
        dead_letter.undecodable.detail.clone(),
    ];
    let fields = dead_letter.undecodable.fields.iter();
    let fields: serde_json::Map<_, _> = fields
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let position = dead_letter.replay_id.as_ref();
    let value = json!({
        "number": view.number.0,
        "channel": view.channel.as_str(),
        "event": dead_letter.event.as_str(),
        "replayId": position.map(domain::key::ReplayId::to_hex),
        "reason": reason,
        "detail": dead_letter.undecodable.detail,
        "schemaId": dead_letter.undecodable.schema_id,
        "bytes": dead_letter.undecodable.payload.len(),
        "fields": fields,
        "receivedAt": rfc3339(view.received_at),
        "askedAt": view.asked_at.map(rfc3339),
        "closedAt": view.closed_at.map(rfc3339),
    });
    (cells, value)
}

pub(crate) fn mark(mark: &CursorHistoryEntry) -> (Vec<String>, Value) {
    let position = mark.replay_id.as_ref().map(domain::key::ReplayId::to_hex);
    let cells = vec![
        rfc3339(mark.at),
        mark.kind.name().to_owned(),
        maybe(position.as_ref()),
        mark.detail.clone(),
    ];
    let value = json!({
        "at": rfc3339(mark.at), "kind": mark.kind.name(), "replayId": position,
        "detail": mark.detail,
    });
    (cells, value)
}

pub(crate) fn gap(view: &GapView) -> (Vec<String>, Value) {
    let cells = vec![
        when(view.from),
        rfc3339(view.until),
        view.channel.to_string(),
        view.detail.clone(),
    ];
    let value = json!({
        "channel": view.channel.as_str(),
        "from": view.from.map(rfc3339),
        "until": rfc3339(view.until),
        "detail": view.detail,
    });
    (cells, value)
}

pub(crate) fn stream(channel: &str, view: &StreamView, paused: Option<&Pause>) -> Value {
    json!({
        "channel": channel,
        "cursor": view.cursor.as_ref().map(|cursor| json!({
            "replayId": cursor.replay_id.to_hex(),
            "committedAt": rfc3339(cursor.committed_at),
        })),
        "leader": view.leader.as_ref().map(|(owner, epoch, until)| json!({
            "owner": owner.as_str(), "epoch": epoch.number(), "leaseUntil": rfc3339(*until),
        })),
        "lastEventAt": view.last_event_at.map(rfc3339),
        "paused": paused.map(pause),
    })
}

pub(crate) fn pause(pause: &Pause) -> Value {
    json!({
        "what": pause.what.to_string(),
        "by": pause.by,
        "reason": pause.reason,
        "since": rfc3339(pause.since),
    })
}

pub(crate) fn audit(line: &AuditEntry) -> (Vec<String>, Value) {
    let at = rfc3339(line.at);
    let value = json!({
        "at": at, "who": line.who, "act": line.act, "subject": line.subject,
        "reason": line.reason,
    });
    let texts = [&line.who, &line.act, &line.subject, &line.reason];
    let cells = std::iter::once(at).chain(texts.map(Clone::clone)).collect();
    (cells, value)
}
