//! One row by id or external id: read, update, upsert, delete.
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};

use super::{
    ids,
    records::Record,
    rest::{Answer, RestRequest, place, wrong_method},
    rules::Refusal,
    shape::{Field, Object},
    transaction::Transaction,
};
use crate::clock::parse_datetime;

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

/// A row with the id of a path.
pub(crate) fn by_id(
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

pub(crate) fn read(
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

/// A value of an external id, and the row that has it.
pub(crate) struct Key {
    object: &'static Object,
    field: &'static Field,
    value: Value,
    row: Option<String>,
}

impl Key {
    pub(crate) fn find(
        tx: &Transaction<'_>,
        object: &'static Object,
        field: &str,
        value: &str,
    ) -> Result<Self, Refusal> {
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
        let value = Value::from(value);
        let row = tx
            .records
            .having(object, field.name, &value)
            .next()
            .map(|record| record.id().to_owned());
        Ok(Self {
            object,
            field,
            value,
            row,
        })
    }

    /// Updates the row, or creates it; returns its id and whether it was created.
    pub(crate) fn upsert(
        &self,
        tx: &mut Transaction<'_>,
        given: &Map<String, Value>,
    ) -> Result<(String, bool), Refusal> {
        if let Some(id) = &self.row {
            tx.update(id, given)?;
            return Ok((id.clone(), false));
        }
        let mut fields = given.clone();
        fields.insert(self.field.name.to_owned(), self.value.clone());
        Ok((tx.insert(self.object, &fields)?, true))
    }
}

/// The key is in the path; in the body it is an error, as the id is.
fn without_key<'a>(
    rest_request: &'a RestRequest<'_>,
    field: &Field,
) -> Result<&'a Map<String, Value>, Refusal> {
    let body = rest_request.object_body()?;
    let twice = body
        .keys()
        .find(|name| name.eq_ignore_ascii_case(field.name) || name.eq_ignore_ascii_case("Id"));
    match twice {
        None => Ok(body),
        Some(name) => Err(Refusal::bad(
            "INVALID_FIELD",
            format!("The {name} field should not be specified in the sobject data."),
        )),
    }
}

/// Reads, upserts and deletes by external id.
pub(crate) fn by_external_id(
    tx: &mut Transaction<'_>,
    rest_request: &RestRequest<'_>,
    method: &str,
    key: &Key,
    ahead: i64,
) -> Result<Answer, Refusal> {
    match (method, &key.row) {
        ("GET", Some(id)) => read(tx, rest_request, key.object, id),
        ("DELETE", Some(id)) => {
            tx.delete(id)?;
            Ok(Answer::empty(204))
        }
        ("PATCH", row) => {
            match (row, &rest_request.if_unmodified_since) {
                (Some(id), Some(header)) => {
                    unmodified_since(find(tx, key.object, id)?, header, ahead)?;
                }
                (None, _) if rest_request.param("updateOnly") == Some("true") => {
                    return Err(Refusal::not_found());
                }
                _ => {}
            }
            let (id, created) = key.upsert(tx, without_key(rest_request, key.field)?)?;
            let body = json!({"id": id, "success": true, "errors": [], "created": created});
            Ok(match created {
                true => {
                    Answer::json(201, body).with("location", place(rest_request, key.object, &id))
                }
                false => Answer::json(200, body),
            })
        }
        ("GET" | "DELETE", None) => Err(Refusal::not_found()),
        (other, _) => Err(wrong_method(other)),
    }
}
