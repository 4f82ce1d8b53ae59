//! `/composite` and record collections.
use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    ids,
    org::Org,
    rest::{self, Answer, RestRequest},
    rules::Refusal,
    shape,
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
    if requests.len() > 25 {
        return Err(Refusal::bad(
            "LIMIT_EXCEEDED",
            "Limit of 25 subrequests was exceeded",
        ));
    }
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
            "body": answer.body, "httpHeaders": {}, "httpStatusCode": answer.status,
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

/// `/composite/sobjects`: up to 200 records, each with its own result.
pub(crate) fn collection(
    org: &Org,
    tx: &mut Transaction<'_>,
    rest_request: &RestRequest<'_>,
) -> Result<Answer, Refusal> {
    if let ("POST", [_, _, object]) = (rest_request.method, rest_request.parts.as_slice()) {
        return batch_read(org, tx, rest_request, object);
    }
    let body = rest_request.object_body()?;
    let all_or_none = body.get("allOrNone") == Some(&Value::from(true));
    let empty = Vec::new();
    let records = body
        .get("records")
        .and_then(Value::as_array)
        .unwrap_or(&empty);
    if records.len() > 200 {
        return Err(Refusal::bad(
            "EXCEEDED_ID_LIMIT",
            "record limit reached. cannot submit more than 200 records into this call",
        ));
    }
    let start = tx.mark();
    let mut results = Vec::new();
    let mut failed = false;
    for record in records {
        let fields = record.as_object().cloned().unwrap_or_default();
        let outcome = match rest_request.method {
            "PATCH" => change(tx, &fields),
            "POST" => {
                let kind = record["attributes"]["type"].as_str().unwrap_or_default();
                match shape::object(kind) {
                    Some(object) => tx.insert(object, &fields),
                    None => Err(Refusal::bad(
                        "INVALID_TYPE",
                        format!("sObject type '{kind}' is not supported."),
                    )),
                }
            }
            _ => Err(Refusal::new(405, "METHOD_NOT_ALLOWED", "not allowed here")),
        };
        results.push(match outcome {
            Ok(id) => json!({"id": id, "success": true, "errors": []}),
            Err(refusal) => {
                failed = true;
                refusal.save_result()
            }
        });
    }
    if all_or_none && failed {
        tx.roll_back_to(start);
        let rolled = Refusal::bad(
            "ALL_OR_NONE_OPERATION_ROLLED_BACK",
            "Record rolled back because not all records were valid and the request was using AllOrNone header",
        );
        for result in &mut results {
            if result["success"] == true {
                *result = rolled.save_result();
            }
        }
    }
    Ok(Answer::json(200, Value::Array(results)))
}

fn change(tx: &mut Transaction<'_>, fields: &Map<String, Value>) -> Result<String, Refusal> {
    let given = ["Id", "id"].into_iter().find_map(|key| fields.get(key));
    let id = given
        .and_then(Value::as_str)
        .and_then(ids::canonical)
        .ok_or_else(|| {
            Refusal::bad("MISSING_ARGUMENT", "Id not specified in an update call").on("Id")
        })?;
    let mut changes = fields.clone();
    changes.remove("id");
    tx.update(&id, &changes).map_err(|mut refusal| {
        // Collections use another code for missing rows.
        if refusal.code == "NOT_FOUND" {
            "INVALID_CROSS_REFERENCE_KEY".clone_into(&mut refusal.code);
        }
        refusal
    })?;
    Ok(id)
}

fn batch_read(
    org: &Org,
    tx: &mut Transaction<'_>,
    rest_request: &RestRequest<'_>,
    object: &str,
) -> Result<Answer, Refusal> {
    let fields: Vec<&str> = rest_request.body["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let mut rows = Vec::new();
    for id in rest_request.body["ids"].as_array().into_iter().flatten() {
        let id = id.as_str().unwrap_or_default();
        let read = RestRequest {
            method: "GET",
            version: rest_request.version,
            parts: vec!["sobjects".to_owned(), object.to_owned(), id.to_owned()],
            query: vec![("fields".to_owned(), fields.join(","))],
            body: Value::Null,
            if_unmodified_since: None,
            if_modified_since: None,
            batch_size: None,
        };
        match rest::answer(org, tx, &read) {
            Ok(answer) => rows.push(answer.body.unwrap_or_default()),
            Err(refusal) if refusal.status == 404 => rows.push(Value::Null),
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(Answer::json(200, Value::Array(rows)))
}
