//! `/composite`.
use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    org::Org,
    rest::{self, Answer, RestRequest},
    rules::Refusal,
    transaction::Transaction,
};

/// `POST /composite`.
pub(crate) fn run(
    org: &Org,
    tx: &mut Transaction<'_>,
    rest_request: &RestRequest<'_>,
) -> Result<Answer, Refusal> {
    let body = rest_request.object_body()?;
    let all_or_none = body.get("allOrNone") == Some(&Value::from(true));
    let empty = Vec::new();
    let requests = body
        .get("compositeRequest")
        .and_then(Value::as_array)
        .unwrap_or(&empty);
    check(requests)?;
    let start = tx.mark();
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let mut answers = Vec::new();
    let mut failed = None;
    for (at, request) in requests.iter().enumerate() {
        let reference = request["referenceId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let mark = tx.mark();
        let outcome = one(org, tx, request, &seen);
        let answer = outcome.unwrap_or_else(|refusal| {
            tx.roll_back_to(mark);
            refusal.into()
        });
        if answer.status >= 400 {
            failed = failed.or(Some(at));
        } else if let Some(body) = &answer.body {
            seen.insert(reference.clone(), body.clone());
        }
        answers.push(json!({
            "body": answer.body, "httpHeaders": headers(&answer), "httpStatusCode": answer.status,
            "referenceId": reference,
        }));
        if all_or_none && failed.is_some() {
            break;
        }
    }
    if let (true, Some(first_failed)) = (all_or_none, failed) {
        tx.roll_back_to(start);
        let halted = Refusal::bad(
            "PROCESSING_HALTED",
            "The transaction was rolled back since another operation in the same transaction failed.",
        );
        for (at, request) in requests.iter().enumerate() {
            if at == first_failed {
                continue;
            }
            let answer = json!({
                "body": halted.body(), "httpHeaders": {}, "httpStatusCode": 400,
                "referenceId": request["referenceId"],
            });
            match answers.get_mut(at) {
                Some(place) => *place = answer,
                None => answers.push(answer),
            }
        }
    }
    Ok(Answer::json(200, json!({"compositeResponse": answers})))
}

/// The limits of one call, and its reference ids.
fn check(requests: &[Value]) -> Result<(), Refusal> {
    let over = |limit: usize, what: &str| {
        Refusal::bad(
            "LIMIT_EXCEEDED",
            format!("Limit of {limit} {what} was exceeded"),
        )
    };
    if requests.len() > 25 {
        return Err(over(25, "subrequests"));
    }
    let mut costly = 0;
    let mut seen = BTreeSet::new();
    for request in requests {
        let url = request["url"].as_str().unwrap_or_default();
        let path = url.split('?').next().unwrap_or_default();
        let mut parts = path.split('/').filter(|part| !part.is_empty()).skip(3);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        costly += usize::from(matches!(kind.as_str(), "query" | "queryall" | "composite"));
        let reference = request["referenceId"].as_str().unwrap_or_default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if reference.is_empty() || !reference.chars().all(is_name) {
            return Err(Refusal::bad(
                "JSON_PARSER_ERROR",
                format!(
                    "'{reference}' is not a valid referenceId: letters, digits and underscores are allowed"
                ),
            ));
        }
        if !seen.insert(reference) {
            return Err(Refusal::bad(
                "JSON_PARSER_ERROR",
                format!("Duplicate referenceId provided in request: {reference}"),
            ));
        }
    }
    match costly > 5 {
        true => Err(over(5, "query and collection subrequests")),
        false => Ok(()),
    }
}

/// The headers of a part, with the names that clients look for.
fn headers(answer: &Answer) -> Value {
    let mut all = json!({});
    for (name, value) in &answer.headers {
        let name = if *name == "location" {
            "Location"
        } else {
            name
        };
        all[name] = value.as_str().into();
    }
    all
}

fn one(
    org: &Org,
    tx: &mut Transaction<'_>,
    request: &Value,
    seen: &BTreeMap<String, Value>,
) -> Result<Answer, Refusal> {
    let mut request = request.clone();
    fill_in(&mut request, seen)?;
    let url = request["url"].as_str().unwrap_or_default();
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let parts: Vec<String> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(decode)
        .collect();
    let [services, data, version, rest @ ..] = parts.as_slice() else {
        return Err(Refusal::not_found());
    };
    if services != "services"
        || data != "data"
        || rest
            .first()
            .is_some_and(|part| part == "composite" && rest.len() == 1)
    {
        return Err(Refusal::not_found());
    }
    let header = |name: &str| {
        let headers = request["httpHeaders"].as_object()?;
        let hit = headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))?;
        hit.1.as_str().map(str::to_owned)
    };
    let rest_request = RestRequest {
        method: request["method"].as_str().unwrap_or_default(),
        version,
        parts: rest.to_vec(),
        query: form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect(),
        body: request["body"].clone(),
        if_unmodified_since: header("If-Unmodified-Since"),
        if_modified_since: header("If-Modified-Since"),
        batch_size: None,
    };
    rest::answer(org, tx, &rest_request)
}

/// Percent-decoding of a path part.
pub(crate) fn decode(part: &str) -> String {
    let bytes = part.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| part.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match escaped {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Replaces `@{ref.path}` references.
fn fill_in(value: &mut Value, seen: &BTreeMap<String, Value>) -> Result<(), Refusal> {
    match value {
        Value::String(text) => {
            while let Some(start) = text.find("@{") {
                let Some(length) = text[start..].find('}') else {
                    break;
                };
                let reference = text[start + 2..start + length].to_owned();
                let found = reference.split_once('.').and_then(|(name, path)| {
                    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
                    seen.get(name)?.pointer(&pointer).cloned()
                });
                let found = found.ok_or_else(|| {
                    Refusal::bad(
                        "PROCESSING_HALTED",
                        format!("Invalid reference specified. No value for {reference} found"),
                    )
                })?;
                let plain = found
                    .as_str()
                    .map_or_else(|| found.to_string(), str::to_owned);
                text.replace_range(start..=start + length, &plain);
            }
        }
        Value::Array(items) => {
            for item in items {
                fill_in(item, seen)?;
            }
        }
        Value::Object(fields) => {
            for field in fields.values_mut() {
                fill_in(field, seen)?;
            }
        }
        _ => {}
    }
    Ok(())
}
