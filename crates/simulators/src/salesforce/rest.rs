//! REST requests, each in one transaction.
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::{
    composite, events, ids,
    org::Org,
    records::Record,
    rules::Refusal,
    shape::{self, Object},
    soql::{self, Found, QueryContext},
    transaction::Transaction,
};
use crate::{clock::parse_datetime, lock};

/// A response.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            body: Some(body),
            headers: Vec::new(),
        }
    }

    pub(crate) fn empty(status: u16) -> Self {
        Self {
            status,
            body: None,
            headers: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        Self::json(refusal.status, refusal.body())
    }
}

/// One request below `/services/data/vNN.0`.
pub(crate) struct RestRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) version: &'a str,
    /// Path after the version, percent-decoded, without empty segments.
    pub(crate) parts: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) body: Value,
    pub(crate) if_unmodified_since: Option<String>,
    pub(crate) if_modified_since: Option<String>,
    pub(crate) batch_size: Option<usize>,
}

impl RestRequest<'_> {
    fn param(&self, name: &str) -> Option<&str> {
        let hit = self.query.iter().find(|(key, _)| key == name);
        hit.map(|(_, value)| value.as_str())
    }

    pub(crate) fn object_body(&self) -> Result<&Map<String, Value>, Refusal> {
        self.body
            .as_object()
            .ok_or_else(|| Refusal::bad("JSON_PARSER_ERROR", "The HTTP entity body is required"))
    }
}

fn find_object(name: &str) -> Result<&'static Object, Refusal> {
    shape::object(name).ok_or_else(Refusal::not_found)
}

fn wrong_method(method: &str) -> Refusal {
    Refusal::new(
        405,
        "METHOD_NOT_ALLOWED",
        format!("HTTP Method '{method}' not allowed"),
    )
}

/// Handles a request. After an error the caller must roll back.
pub(crate) fn answer(
    org: &Org,
    tx: &mut Transaction<'_>,
    rest_request: &RestRequest<'_>,
) -> Result<Answer, Refusal> {
    let parts: Vec<&str> = rest_request.parts.iter().map(String::as_str).collect();
    let lower: Vec<String> = parts.iter().map(|part| part.to_ascii_lowercase()).collect();
    let lower: Vec<&str> = lower.iter().map(String::as_str).collect();
    match (rest_request.method, lower.as_slice()) {
        ("GET", []) => Ok(Answer::json(
            200,
            json!({
                "sobjects": format!("/services/data/{}/sobjects", rest_request.version),
                "query": format!("/services/data/{}/query", rest_request.version),
                "identity": format!("https://login.salesforce.com/id/{}/{}", org.org_id, org.user_id),
            }),
        )),
        ("GET", ["limits"]) => Ok(limits(org)),
        ("GET", ["sobjects"]) => {
            let all: Vec<Value> = shape::objects()
                .iter()
                .map(|object| json!({"name": object.name, "keyPrefix": object.prefix}))
                .collect();
            Ok(Answer::json(200, json!({"sobjects": all})))
        }
        ("GET", ["query" | "queryall"]) => query(org, tx, rest_request),
        ("GET", ["query", _]) => page(org, rest_request, parts[1]),
        ("POST", ["composite"]) => composite::run(org, tx, rest_request),
        (_, ["composite", "sobjects", ..]) => composite::collection(org, tx, rest_request),
        ("POST", ["sobjects", event]) if event.ends_with("__e") => {
            events::publish(org, parts[1], rest_request)
        }
        ("GET", ["sobjects", event, "eventschema"]) if event.ends_with("__e") => {
            events::event_schema(org, parts[1])
        }
        ("GET", ["sobjects", event, "describe"]) if event.ends_with("__e") => {
            events::describe_event(org, parts[1])
        }
        ("GET", ["sobjects", _, "describe"]) => {
            let object = find_object(parts[1])?;
            let has = |object: &str, field: &str| {
                shape::object(object).is_some_and(|object| tx.has(object, field))
            };
            let edits = lock(&org.description_edits);
            let edit = |name: &str| edits.get(name);
            if edit(object.name).is_some_and(Value::is_null) {
                return Err(Refusal::not_found());
            }
            let mut described = object.describe(has);
            if let Some(fields) = described["fields"].as_array_mut() {
                fields.retain_mut(|field| {
                    let name = field["name"].as_str().unwrap_or_default();
                    match edit(&format!("{}.{name}", object.name)) {
                        Some(Value::Null) => false,
                        Some(Value::Object(edit)) => {
                            if let Value::Object(field) = field {
                                field.extend(edit.clone());
                            }
                            true
                        }
                        _ => true,
                    }
                });
            }
            Ok(Answer::json(200, described))
        }
        ("GET", ["sobjects", _]) => {
            let object = find_object(parts[1])?;
            Ok(Answer::json(
                200,
                json!({"objectDescribe": {"name": object.name}, "recentItems": []}),
            ))
        }
        ("POST", ["sobjects", _]) => {
            let object = find_object(parts[1])?;
            let id = tx.insert(object, rest_request.object_body()?)?;
            let place = format!(
                "/services/data/{}/sobjects/{}/{id}",
                rest_request.version, object.name
            );
            Ok(
                Answer::json(201, json!({"id": id, "success": true, "errors": []}))
                    .with("location", place),
            )
        }
        (method, ["sobjects", _, _]) => {
            let object = find_object(parts[1])?;
            row(
                tx,
                rest_request,
                method,
                object,
                parts[2],
                org.options.stamp_ahead,
            )
        }
        (method, ["sobjects", _, _, _]) => external(
            tx,
            rest_request,
            method,
            find_object(parts[1])?,
            parts[2],
            parts[3],
        ),
        _ => Err(Refusal::not_found()),
    }
}

/// The row with the id of a path.
fn find<'a>(
    tx: &'a Transaction<'_>,
    object: &'static Object,
    id: &str,
) -> Result<&'a Record, Refusal> {
    let id = ids::canonical(id).ok_or_else(|| {
        Refusal::new(
            404,
            "NOT_FOUND",
            "Provided external ID field does not exist or is not accessible: ".to_owned() + id,
        )
    })?;
    match tx.records.get(&id) {
        Some(record) if record.object.name == object.name => Ok(record),
        _ if tx.records.is_deleted(&id) => {
            Err(Refusal::new(404, "ENTITY_IS_DELETED", "entity is deleted"))
        }
        _ => Err(Refusal::not_found()),
    }
}

fn row(
    tx: &mut Transaction<'_>,
    rest_request: &RestRequest<'_>,
    method: &str,
    object: &'static Object,
    id: &str,
    stamp_ahead: i64,
) -> Result<Answer, Refusal> {
    match method {
        "GET" => read(tx, rest_request, object, id),
        "PATCH" => {
            let record = find(tx, object, id)?;
            let id = record.id().to_owned();
            if let Some(header) = &rest_request.if_unmodified_since {
                unmodified_since(record, header, stamp_ahead)?;
            }
            tx.update(&id, rest_request.object_body()?)?;
            Ok(Answer::empty(204))
        }
        "DELETE" => {
            let id = find(tx, object, id)?.id().to_owned();
            tx.delete(&id)?;
            Ok(Answer::empty(204))
        }
        other => Err(wrong_method(other)),
    }
}

fn modified(record: &Record) -> Option<SystemTime> {
    let at = parse_datetime(record.text("LastModifiedDate")?)?;
    let seconds = u64::try_from(at.as_second()).ok()?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
}

fn http_date(header: &str) -> Result<SystemTime, Refusal> {
    httpdate::parse_http_date(header)
        .map_err(|_| Refusal::bad("INVALID_HEADER", format!("invalid date: {header}")))
}

fn unmodified_since(record: &Record, header: &str, ahead: i64) -> Result<(), Refusal> {
    let limit = http_date(header)?;
    let ahead = Duration::from_secs(ahead.unsigned_abs());
    if modified(record).is_some_and(|at| at + ahead > limit) {
        return Err(Refusal::new(
            412,
            "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE",
            "Entity has been modified since the last read",
        ));
    }
    Ok(())
}

fn read(
    tx: &Transaction<'_>,
    rest_request: &RestRequest<'_>,
    object: &'static Object,
    id: &str,
) -> Result<Answer, Refusal> {
    let record = find(tx, object, id)?;
    let changed = modified(record);
    if let Some(header) = &rest_request.if_modified_since {
        let since = http_date(header)?;
        if changed.is_some_and(|at| at <= since) {
            return Ok(Answer::empty(304));
        }
    }
    let mut body = Map::new();
    body.insert(
        "attributes".to_owned(),
        json!({"type": object.name, "url": format!("/services/data/{}/sobjects/{}/{}", rest_request.version, object.name, record.id())}),
    );
    body.insert("Id".to_owned(), Value::from(record.id()));
    let wanted = rest_request.param("fields").map(|list| list.split(','));
    let known = |name: &str| {
        object
            .field(name)
            .filter(|field| tx.has(object, field.name))
    };
    match wanted {
        Some(names) => {
            for name in names.map(str::trim).filter(|name| !name.is_empty()) {
                let field = known(name).ok_or_else(|| {
                    Refusal::bad(
                        "INVALID_FIELD",
                        format!("No such column '{name}' on sobject of type {}", object.name),
                    )
                })?;
                body.insert(field.name.to_owned(), record.get(field.name).clone());
            }
        }
        None => {
            for field in object
                .fields
                .iter()
                .filter(|field| tx.has(object, field.name))
            {
                body.insert(field.name.to_owned(), record.get(field.name).clone());
            }
        }
    }
    let answer = Answer::json(200, Value::Object(body));
    Ok(match changed {
        Some(at) => answer.with("last-modified", httpdate::fmt_http_date(at)),
        None => answer,
    })
}

/// Read and upsert by external id.
fn external(
    tx: &mut Transaction<'_>,
    rest_request: &RestRequest<'_>,
    method: &str,
    object: &'static Object,
    field: &str,
    value: &str,
) -> Result<Answer, Refusal> {
    let field = object
        .field(field)
        .filter(|field| field.external_id && tx.has(object, field.name))
        .ok_or_else(|| {
            Refusal::new(
                404,
                "NOT_FOUND",
                "Provided external ID field does not exist or is not accessible: ".to_owned()
                    + field,
            )
        })?;
    let wanted = Value::from(value);
    let found = tx
        .records
        .having(object, field.name, &wanted)
        .next()
        .map(|record| record.id().to_owned());
    match (method, found) {
        ("GET", Some(id)) => read(tx, rest_request, object, &id),
        ("PATCH", Some(id)) => {
            tx.update(&id, rest_request.object_body()?)?;
            Ok(Answer::json(
                200,
                json!({"id": id, "success": true, "errors": [], "created": false}),
            ))
        }
        ("PATCH", None) if rest_request.param("updateOnly") != Some("true") => {
            let mut fields = rest_request.object_body()?.clone();
            fields.insert(field.name.to_owned(), wanted);
            let id = tx.insert(object, &fields)?;
            Ok(Answer::json(
                201,
                json!({"id": id, "success": true, "errors": [], "created": true}),
            ))
        }
        ("GET" | "PATCH", None) => Err(Refusal::not_found()),
        (other, _) => Err(wrong_method(other)),
    }
}

fn query(
    org: &Org,
    tx: &Transaction<'_>,
    rest_request: &RestRequest<'_>,
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

fn page(org: &Org, rest_request: &RestRequest<'_>, locator: &str) -> Result<Answer, Refusal> {
    let page = lock(&org.pages).get(locator).cloned();
    let (rows, total) =
        page.ok_or_else(|| Refusal::bad("INVALID_QUERY_LOCATOR", "invalid query locator"))?;
    let offset = total - rows.len();
    Ok(paged(org, rest_request, rows, total, offset))
}

fn limits(org: &Org) -> Answer {
    let used = lock(&org.calls).len() as u64;
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
