//! Collections of up to 200 records, each with its own result.
use serde_json::{Map, Value, json};

use super::{
    ids,
    org::Org,
    rest::{self, Answer, RestRequest, find_object, wrong_method},
    rows::Key,
    rules::Refusal,
    shape,
    transaction::Transaction,
};

/// Records of one call.
const LIMIT: usize = 200;
/// Changes of the object from one record to the next, and one.
const CHUNKS: usize = 10;

/// `/composite/sobjects` and what is below it.
pub(crate) fn run(
    org: &Org,
    tx: &mut Transaction<'_>,
    rest_request: &RestRequest<'_>,
) -> Result<Answer, Refusal> {
    let parts: Vec<&str> = rest_request.parts.iter().map(String::as_str).collect();
    let list = |name: &str| -> Vec<String> {
        let items = rest_request.param(name).unwrap_or_default().split(',');
        let items = items.map(str::trim).filter(|item| !item.is_empty());
        items.map(str::to_owned).collect()
    };
    match (rest_request.method, parts.as_slice()) {
        ("POST", [_, _, object]) => {
            let texts = |name: &str| {
                let items = rest_request.body[name].as_array().into_iter().flatten();
                items
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            read(
                org,
                tx,
                rest_request,
                object,
                &texts("ids"),
                &texts("fields"),
            )
        }
        ("GET", [_, _, object]) => {
            read(org, tx, rest_request, object, &list("ids"), &list("fields"))
        }
        ("DELETE", [_, _]) => {
            let all_or_none = rest_request.param("allOrNone") == Some("true");
            each(tx, all_or_none, &list("ids"), |tx, id| {
                let known = ids::canonical(id)
                    .ok_or_else(|| Refusal::bad("MALFORMED_ID", format!("malformed id {id}")))?;
                tx.delete(&known).map_err(missing_row)?;
                Ok((known, None))
            })
        }
        ("POST" | "PATCH", [_, _]) => {
            let (all_or_none, records) = records(rest_request)?;
            each(tx, all_or_none, records, |tx, record| {
                let fields = record.as_object().cloned().unwrap_or_default();
                if rest_request.method == "PATCH" {
                    return Ok((change(tx, &fields)?, None));
                }
                let kind = kind_of(record);
                let object = shape::object(kind).ok_or_else(|| unknown_type(kind))?;
                Ok((tx.insert(object, &fields)?, None))
            })
        }
        ("PATCH", [_, _, object, field]) => {
            let object = find_object(object)?;
            // The field must exist before any record is read.
            Key::find(tx, object, field, "")?;
            let (all_or_none, records) = records(rest_request)?;
            each(tx, all_or_none, records, |tx, record| {
                let mut fields = record.as_object().cloned().unwrap_or_default();
                let name = fields.keys().find(|name| name.eq_ignore_ascii_case(field));
                let value = name.cloned().and_then(|name| fields.remove(&name));
                let value = value.as_ref().and_then(Value::as_str).ok_or_else(|| {
                    Refusal::bad("MISSING_ARGUMENT", format!("{field} not specified")).on(field)
                })?;
                let (id, created) = Key::find(tx, object, field, value)?.upsert(tx, &fields)?;
                Ok((id, Some(created)))
            })
        }
        (method, _) => Err(wrong_method(method)),
    }
}

fn kind_of(record: &Value) -> &str {
    record["attributes"]["type"].as_str().unwrap_or_default()
}

fn unknown_type(kind: &str) -> Refusal {
    Refusal::bad(
        "INVALID_TYPE",
        format!("sObject type '{kind}' is not supported."),
    )
}

/// Whether all fail together, and the records of a body.
fn records<'a>(rest_request: &'a RestRequest<'_>) -> Result<(bool, &'a [Value]), Refusal> {
    let body = rest_request.object_body()?;
    let records = body.get("records").and_then(Value::as_array);
    let records = records.map_or(&[][..], Vec::as_slice);
    let chunks = records
        .windows(2)
        .filter(|pair| kind_of(&pair[0]) != kind_of(&pair[1]))
        .count();
    if chunks >= CHUNKS {
        return Err(Refusal::bad(
            "MAX_CHUNKS_EXCEEDED",
            format!(
                "Cannot have more than {CHUNKS} chunks in a single operation. Please rearrange the data to reduce chunking."
            ),
        ));
    }
    Ok((body.get("allOrNone") == Some(&Value::from(true)), records))
}

/// The id of a row, and for an upsert whether it was created.
type Saved = (String, Option<bool>);

/// One result per record. With `all_or_none` one failure undoes the others.
fn each<T>(
    tx: &mut Transaction<'_>,
    all_or_none: bool,
    records: &[T],
    save: impl Fn(&mut Transaction<'_>, &T) -> Result<Saved, Refusal>,
) -> Result<Answer, Refusal> {
    if records.len() > LIMIT {
        return Err(Refusal::bad(
            "EXCEEDED_ID_LIMIT",
            "record limit reached. cannot submit more than 200 records into this call",
        ));
    }
    let start = tx.mark();
    let mut results = Vec::new();
    let mut failed = false;
    for record in records {
        let before = tx.mark();
        results.push(match save(tx, record) {
            Ok((id, created)) => {
                let mut result = json!({"id": id, "success": true, "errors": []});
                if let Some(created) = created {
                    result["created"] = created.into();
                }
                result
            }
            Err(refusal) => {
                tx.roll_back_to(before);
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

/// Collections use another code for missing rows.
fn missing_row(mut refusal: Refusal) -> Refusal {
    if refusal.code == "NOT_FOUND" {
        "INVALID_CROSS_REFERENCE_KEY".clone_into(&mut refusal.code);
    }
    refusal
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
    tx.update(&id, &changes).map_err(missing_row)?;
    Ok(id)
}

/// The rows of these ids; null where there is none.
fn read(
    org: &Org,
    tx: &mut Transaction<'_>,
    rest_request: &RestRequest<'_>,
    object: &str,
    ids: &[String],
    fields: &[String],
) -> Result<Answer, Refusal> {
    let mut rows = Vec::new();
    for id in ids {
        let read = RestRequest {
            method: "GET",
            version: rest_request.version,
            parts: vec!["sobjects".to_owned(), object.to_owned(), id.clone()],
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
