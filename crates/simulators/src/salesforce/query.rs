//! Queries, their pages, and limits.
use serde_json::{Value, json};

use super::{
    ids,
    org::Org,
    rest::{Answer, RestRequest},
    rules::Refusal,
    shape,
    soql::{self, Condition, Found, QueryContext},
    transaction::Transaction,
};
use crate::lock;

/// `/query`, and with `deleted` `/queryAll`, which finds rows in the recycle bin too.
pub(crate) fn run(
    org: &Org,
    tx: &Transaction<'_>,
    rest_request: &RestRequest<'_>,
    deleted: bool,
) -> Result<Answer, Refusal> {
    let text = rest_request
        .param("q")
        .ok_or_else(|| Refusal::bad("MALFORMED_QUERY", "A query string has to be specified"))?;
    let query = soql::parse(text)?;
    let has = |object: &str, field: &str| {
        shape::object(object).is_some_and(|object| tx.has(object, field))
    };
    let context = QueryContext {
        records: tx.records,
        has: &has,
        version: rest_request.version,
        deleted,
    };
    match context.run(&query)? {
        Found::Count(total) => Ok(Answer::json(
            200,
            json!({"totalSize": total, "done": true, "records": []}),
        )),
        Found::Rows(rows) => {
            let total = rows.len();
            Ok(paged(org, rest_request, rows, total, 0))
        }
    }
}

fn paged(
    org: &Org,
    rest_request: &RestRequest<'_>,
    mut rows: Vec<Value>,
    total: usize,
    offset: usize,
) -> Answer {
    let size = rest_request
        .batch_size
        .unwrap_or(usize::MAX)
        .min(org.options.page_size)
        .max(1);
    if rows.len() <= size {
        return Answer::json(
            200,
            json!({"totalSize": total, "done": true, "records": rows}),
        );
    }
    let rest = rows.split_off(size);
    let next = offset + size;
    let locator = format!("01g{}-{next}", org.bus.uuid().replace('-', ""));
    lock(&org.pages).insert(locator.clone(), (rest, total));
    let url = format!("/services/data/{}/query/{locator}", rest_request.version);
    Answer::json(
        200,
        json!({"totalSize": total, "done": false, "nextRecordsUrl": url, "records": rows}),
    )
}

/// The next page of a query.
pub(crate) fn page(
    org: &Org,
    rest_request: &RestRequest<'_>,
    locator: &str,
) -> Result<Answer, Refusal> {
    let page = lock(&org.pages).get(locator).cloned();
    let (rows, total) =
        page.ok_or_else(|| Refusal::bad("INVALID_QUERY_LOCATOR", "invalid query locator"))?;
    let offset = total - rows.len();
    Ok(paged(org, rest_request, rows, total, offset))
}

pub(crate) fn limits(org: &Org) -> Answer {
    let used = org.used_calls();
    let (delivered, allocation) = org.bus.allocation();
    let left = |max: u64, used: u64| json!({"Max": max, "Remaining": max.saturating_sub(used)});
    let mut all = json!({
        "DailyApiRequests": left(org.options.daily_calls, used),
        "DailyDeliveredPlatformEvents": left(allocation, delivered),
        "HourlyPublishedPlatformEvents": left(250_000, 0),
    });
    for (name, limit) in lock(&org.limit_edits).iter() {
        all[name] = limit.clone();
    }
    Answer::json(200, all)
}

/// `/tooling/query` of managed subscriptions, the only tooling object here.
pub(crate) fn tooling(org: &Org, rest_request: &RestRequest<'_>) -> Result<Answer, Refusal> {
    let text = rest_request.param("q").unwrap_or_default();
    let query = soql::parse(text)?;
    if !query.from.eq_ignore_ascii_case("ManagedEventSubscription") {
        return Err(Refusal::bad(
            "INVALID_TYPE",
            format!("sObject type '{}' is not supported.", query.from),
        ));
    }
    let wanted = |name: &str, id: &str| match &query.condition {
        None => true,
        Some(Condition::Compare(path, operator, Value::String(value))) if operator == "=" => {
            match path.as_slice() {
                [field] if field.eq_ignore_ascii_case("DeveloperName") => value == name,
                [field] if field.eq_ignore_ascii_case("Id") => {
                    ids::canonical(value).as_deref() == Some(id)
                }
                _ => false,
            }
        }
        Some(_) => false,
    };
    let known = org.bus.managed_subscriptions().into_iter();
    let rows: Vec<Value> = known
        .filter(|(id, one)| wanted(&one.developer_name, id))
        .map(|(id, one)| {
            json!({
                "attributes": {
                    "type": "ManagedEventSubscription",
                    "url": format!("/services/data/{}/tooling/sobjects/ManagedEventSubscription/{id}", rest_request.version),
                },
                "Id": id, "DeveloperName": one.developer_name,
                "Metadata": {
                    "label": one.developer_name, "topicName": org.bus.topic(),
                    "state": if one.running { "RUN" } else { "STOP" },
                    "defaultReplay": one.default_replay, "errorRecoveryReplay": one.error_recovery,
                },
            })
        })
        .collect();
    Ok(Answer::json(
        200,
        json!({
            "size": rows.len(), "totalSize": rows.len(), "done": true, "queryLocator": null,
            "entityTypeName": "ManagedEventSubscription", "records": rows,
        }),
    ))
}
