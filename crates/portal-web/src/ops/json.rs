//! The console's JSON.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use domain::failure::Code;
use domain::ports::OrderRow;
use serde_json::{Map, Value, json};

use super::screens::{Wanted, next_page};
use super::store;
use super::timeline::Total;
use crate::api::order_id;
use crate::portal::Portal;
use crate::problem::Problem;
use crate::time::rfc3339;

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
    State(portal): State<Arc<Portal>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    portal.operator_program(&headers)?;
    let view = portal.overview().await?;
    let jobs: Map<String, Value> = view
        .queue_stats
        .jobs
        .iter()
        .map(|(state, count)| ((*state).to_owned(), json!(count)))
        .collect();
    let millis =
        |length: Option<std::time::Duration>| length.map(|length| length.as_millis() as u64);
    Ok(Json(json!({
        "sentence": view.sentence,
        "jobs": jobs,
        "openDeadLetters": view.queue_stats.open_dead_letters,
        "recent": {"succeeded": view.numbers.recent.0, "failed": view.numbers.recent.1},
        "latencyMs": {"p50": millis(view.numbers.p50), "p95": millis(view.numbers.p95)},
        "whmcsErrors": view.numbers.whmcs_errors,
        "replayHoursLeft": view.hours_left,
        "attention": view.attention.iter().map(row).collect::<Vec<_>>(),
    })))
}

pub(super) async fn orders(
    State(portal): State<Arc<Portal>>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    portal.operator_program(&headers)?;
    let rows = portal
        .ports
        .orders
        .orders(&wanted.query())
        .await
        .map_err(store)?;
    Ok(Json(json!({
        "orders": rows.iter().map(row).collect::<Vec<_>>(),
        "after": next_page(&rows),
    })))
}

pub(super) async fn order(
    State(portal): State<Arc<Portal>>,
    Path(order): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    portal.operator_program(&headers)?;
    let (found, moments, wait) = portal.story(order_id(&order)?).await?;
    if found.is_none() && moments.is_empty() {
        return Err(Problem::no_such_order());
    }
    let total = Total::of(&moments);
    let millis = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let moments: Vec<_> = moments
        .iter()
        .map(|moment| {
            json!({
                "at": rfc3339(moment.at), "where": moment.place, "text": moment.text,
                "tone": moment.tone,
                "gapMs": moment.gap.map(millis),
                "gap": moment.gap.map(|_| moment.gap_words()),
                "call": moment.call.map(|call| json!({
                    "action": call.action.name(), "outcome": call.outcome.name(),
                    "tookMs": millis(call.took),
                })),
            })
        })
        .collect();
    Ok(Json(json!({
        "order": found.as_ref().map(row),
        "wait": wait.map(|wait| json!({"what": wait.what, "until": rfc3339(wait.until)})),
        "timeline": moments,
        "total": {
            "wholeMs": millis(total.whole), "calls": total.calls,
            "callsMs": millis(total.in_calls),
        },
    })))
}
