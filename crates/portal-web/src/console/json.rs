//! The console's JSON API.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use domain::failure::Code;
use domain::time::Timestamp;
use operations::{Alert, OrderRow, ProcessView};
use serde_json::{Map, Value, json};

use super::caller::Caller;
use super::queries::{OrderFilter, next_page, store_error};
use super::state::Console;
use super::timeline::Total;
use crate::problem::Problem;
use crate::request::order_id;
use crate::time::rfc3339;

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn row(row: &OrderRow) -> Value {
    json!({
        "sfOrderId": row.order.as_str(),
        "orderNumber": row.number,
        "accountId": row.account.map(|account| account.to_string()),
        "whmcsOrderId": row.whmcs_order.map(|order| order.to_string()),
        "stage": row.stage.name(),
        "code": row.code.map(Code::as_str),
        "attempts": row.attempts,
        "updatedAt": rfc3339(row.updated_at),
        "handledBy": row.handled.as_ref().map(|handled| &handled.who),
    })
}

pub(super) async fn overview(
    State(state): State<Arc<Console>>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    state.for_api(&caller).await?;
    let view = state.overview().await?;
    let jobs: Map<String, Value> = view
        .queue
        .jobs
        .iter()
        .map(|(stage, count)| (stage.name().to_owned(), json!(count)))
        .collect();
    let optional_millis = |length: Option<Duration>| length.map(millis);
    Ok(Json(json!({
        "sentence": view.sentence,
        "jobs": jobs,
        "openDeadLetters": view.queue.open_dead_letters,
        "recent": {"succeeded": view.stats.recent.0, "failed": view.stats.recent.1},
        "latencyMs": {"p50": optional_millis(view.stats.p50), "p95": optional_millis(view.stats.p95)},
        "whmcsErrors": view.stats.whmcs_errors,
        "replayHoursLeft": view.hours_left,
        "attention": view.attention.iter().map(row).collect::<Vec<_>>(),
    })))
}

pub(super) async fn orders(
    State(state): State<Arc<Console>>,
    Query(filter): Query<OrderFilter>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    state.for_api(&caller).await?;
    let rows = state
        .orders
        .orders(&filter.query())
        .await
        .map_err(store_error)?;
    Ok(Json(json!({
        "orders": rows.iter().map(row).collect::<Vec<_>>(),
        "after": next_page(&rows),
    })))
}

pub(super) async fn order(
    State(state): State<Arc<Console>>,
    Path(order): Path<String>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    state.for_api(&caller).await?;
    let (found, entries, wait) = state.order_timeline(order_id(&order)?).await?;
    if found.is_none() && entries.is_empty() {
        return Err(Problem::no_such_order());
    }
    let total = Total::of(&entries);
    let entries: Vec<_> = entries
        .iter()
        .map(|entry| {
            json!({
                "at": rfc3339(entry.at), "where": entry.source, "text": entry.text,
                // The API's name for warnings is `doubt`.
                "tone": if entry.tone == "warn" { "doubt" } else { entry.tone },
                "gapMs": entry.gap.map(millis),
                "gap": entry.gap.map(|_| entry.gap_label()),
                "call": entry.call.map(|call| json!({
                    "action": call.action.name(), "outcome": call.outcome.name(),
                    "tookMs": millis(call.elapsed),
                })),
            })
        })
        .collect();
    Ok(Json(json!({
        "order": found.as_ref().map(row),
        "wait": wait.map(|wait| json!({"what": wait.what, "until": rfc3339(wait.until)})),
        "timeline": entries,
        "total": {
            "wholeMs": millis(total.whole), "calls": total.calls,
            "callsMs": millis(total.in_calls),
        },
    })))
}

fn process(view: &ProcessView) -> Value {
    let report = &view.report;
    let conditions = report.conditions.iter().map(|condition| {
        json!({
            "name": condition.kind.name(),
            "since": rfc3339(condition.since),
            "detail": condition.detail,
        })
    });
    let settings = report.settings.iter().map(
        |setting| json!({"name": setting.name, "value": setting.value, "origin": setting.origin}),
    );
    json!({
        "id": report.id.as_str(),
        "role": report.role,
        "version": report.version,
        "host": report.host,
        "pid": report.pid,
        "startedAt": rfc3339(report.started_at),
        "seenAt": rfc3339(view.seen_at),
        "unseenSeconds": view.unseen_for.as_secs(),
        "conditions": conditions.collect::<Vec<_>>(),
        "settings": settings.collect::<Vec<_>>(),
    })
}

fn alert(alert: &Alert) -> Value {
    let status = match (alert.is_firing(), alert.pending_since) {
        (true, _) => "firing",
        (false, Some(_)) => "pending",
        (false, None) => "resolved",
    };
    let time = |at: Option<Timestamp>| at.map(rfc3339);
    json!({
        "alert": alert.name,
        "status": status,
        "severity": alert.severity,
        "summary": alert.summary,
        "description": alert.description,
        "pendingSince": time(alert.pending_since),
        "startsAt": time(alert.firing_since),
        "endsAt": time(alert.resolved_at),
    })
}

pub(super) async fn processes(
    State(state): State<Arc<Console>>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    state.for_api(&caller).await?;
    let views = state.processes.processes().await.map_err(store_error)?;
    let views: Vec<_> = views.iter().map(process).collect();
    Ok(Json(json!({"processes": views})))
}

pub(super) async fn alerts(
    State(state): State<Arc<Console>>,
    caller: Caller,
) -> Result<Json<Value>, Problem> {
    state.for_api(&caller).await?;
    let alerts = state.alerts.alerts().await.map_err(store_error)?;
    let mut alerts: Vec<_> = alerts.iter().collect();
    // Firing alerts first; alerts that never fired are omitted.
    alerts.retain(|alert| alert.pending_since.is_some() || alert.firing_since.is_some());
    alerts.sort_by_key(|alert| (!alert.is_firing(), alert.name.clone()));
    let alerts: Vec<_> = alerts.into_iter().map(alert).collect();
    Ok(Json(json!({"alerts": alerts})))
}
