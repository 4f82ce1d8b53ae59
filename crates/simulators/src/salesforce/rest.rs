//! REST requests, each in one transaction.
use serde_json::{Map, Value, json};

use super::{
    composite, describe, events,
    org::Org,
    query, rows,
    rules::Refusal,
    shape::{self, Object},
    transaction::Transaction,
};

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

    pub(crate) fn with(mut self, name: &'static str, value: String) -> Self {
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
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let hit = self.query.iter().find(|(key, _)| key == name);
        hit.map(|(_, value)| value.as_str())
    }

    pub(crate) fn object_body(&self) -> Result<&Map<String, Value>, Refusal> {
        self.body
            .as_object()
            .ok_or_else(|| Refusal::bad("JSON_PARSER_ERROR", "The HTTP entity body is required"))
    }
}

pub(crate) fn find_object(name: &str) -> Result<&'static Object, Refusal> {
    shape::object(name).ok_or_else(Refusal::not_found)
}

pub(crate) fn wrong_method(method: &str) -> Refusal {
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
        ("GET", []) => Ok(describe::resources(org, rest_request)),
        ("GET", ["limits"]) => Ok(query::limits(org)),
        ("GET", ["sobjects"]) => Ok(describe::global(org, rest_request)),
        ("GET", ["query"]) => query::run(org, tx, rest_request, false),
        ("GET", ["queryall"]) => query::run(org, tx, rest_request, true),
        ("GET", ["query" | "queryall", _]) => query::page(org, rest_request, parts[1]),
        ("GET", ["tooling", "query"]) => query::tooling(org, rest_request),
        ("POST", ["composite"]) => composite::run(org, tx, rest_request),
        (_, ["composite", "sobjects", ..]) => super::collections::run(org, tx, rest_request),
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
            describe::object(org, tx, find_object(parts[1])?, rest_request)
        }
        ("GET", ["sobjects", _]) => {
            let object = find_object(parts[1])?;
            let summary = describe::summary(object, rest_request.version);
            Ok(Answer::json(
                200,
                json!({"objectDescribe": summary, "recentItems": []}),
            ))
        }
        ("POST", ["sobjects", _]) => {
            let object = find_object(parts[1])?;
            let id = tx.insert(object, rest_request.object_body()?)?;
            Ok(
                Answer::json(201, json!({"id": id, "success": true, "errors": []}))
                    .with("location", place(rest_request, object, &id)),
            )
        }
        (method, ["sobjects", _, _]) => {
            let object = find_object(parts[1])?;
            let ahead = org.options.stamp_ahead;
            rows::by_id(tx, rest_request, method, object, parts[2], ahead)
        }
        (method, ["sobjects", _, _, _]) => {
            let key = rows::Key::find(tx, find_object(parts[1])?, parts[2], parts[3])?;
            let ahead = org.options.stamp_ahead;
            rows::by_external_id(tx, rest_request, method, &key, ahead)
        }
        _ => Err(Refusal::not_found()),
    }
}

/// The path of a row.
pub(crate) fn place(rest_request: &RestRequest<'_>, object: &Object, id: &str) -> String {
    let version = rest_request.version;
    format!("/services/data/{version}/sobjects/{}/{id}", object.name)
}
