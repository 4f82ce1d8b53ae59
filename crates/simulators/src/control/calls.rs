//! `/calls`: what both systems were asked, by filters.
use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Json, Router,
    extract::{Query, State},
    routing::get,
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Answer, Shared, problem::Problem};
use crate::world::World;

/// Fields that must be equal.
const EXACT: &[&str] = &["method", "route", "status", "action", "fault"];
/// Fields that must contain the text.
const CONTAINING: &[&str] = &["path", "about", "outcome", "markers"];

pub(super) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/calls", get(calls))
        .route("/events", get(events))
}

async fn calls(State(world): Shared, Query(filters): Query<BTreeMap<String, String>>) -> Answer {
    let limit = limit(&filters)?;
    let system = filters.get("system").map(String::as_str);
    if !matches!(system, None | Some("salesforce" | "whmcs")) {
        return Err(Problem::field("system", "expected salesforce or whmcs"));
    }
    let unknown = filters.keys().find(|name| {
        let name = name.as_str();
        !["limit", "system"].contains(&name)
            && !EXACT.contains(&name)
            && !CONTAINING.contains(&name)
    });
    if let Some(name) = unknown {
        let known = [EXACT, CONTAINING].concat().join(", ");
        return Err(Problem::field(
            name,
            format!("unknown filter; known are system, limit, {known}"),
        ));
    }
    let mut answer = json!({});
    if system != Some("whmcs") {
        answer["salesforce"] = select(world.salesforce.calls(), &filters, limit);
        answer["counts"]["salesforce"] = json!(world.salesforce.call_counts());
    }
    if system != Some("salesforce") {
        answer["whmcs"] = select(world.whmcs.calls(), &filters, limit);
        answer["counts"]["whmcs"] = json!(world.whmcs.call_counts());
    }
    Ok(Json(answer))
}

fn limit(filters: &BTreeMap<String, String>) -> Result<usize, Problem> {
    match filters.get("limit") {
        None => Ok(usize::MAX),
        Some(text) => text
            .parse()
            .map_err(|_| Problem::field("limit", format!("`{text}` is not a valid number"))),
    }
}

/// The newest calls that match, oldest first.
fn select<T: Serialize>(calls: Vec<T>, filters: &BTreeMap<String, String>, limit: usize) -> Value {
    let matches = |call: &Value| {
        filters.iter().all(|(name, wanted)| {
            let text = match &call[name] {
                Value::String(text) => text.to_lowercase(),
                Value::Null => String::new(),
                other => other.to_string().to_lowercase(),
            };
            let wanted = wanted.to_lowercase();
            match name.as_str() {
                "limit" | "system" => true,
                name if EXACT.contains(&name) => text == wanted,
                _ => text.contains(&wanted),
            }
        })
    };
    let newest = calls.iter().rev().map(|call| json!(call)).filter(matches);
    let mut newest: Vec<Value> = newest.take(limit).collect();
    newest.reverse();
    Value::Array(newest)
}

async fn events(State(world): Shared, Query(filters): Query<BTreeMap<String, String>>) -> Answer {
    Ok(Json(Value::Array(
        world.salesforce.events(limit(&filters)?),
    )))
}
