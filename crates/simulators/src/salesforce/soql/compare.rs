//! Comparison of values: by type, text without case, ids of either length.
use std::cmp::Ordering;

use serde_json::Value;

use super::super::{
    ids,
    rules::Refusal,
    shape::{self, Kind},
};
use crate::clock::parse_datetime;

pub(super) fn rank(field: &shape::Field, left: &Value, right: &Value) -> Ordering {
    match (field.kind, left, right) {
        (Kind::DateTime, Value::String(a), Value::String(b)) => {
            parse_datetime(a).cmp(&parse_datetime(b))
        }
        (_, Value::Number(a), Value::Number(b)) => a
            .as_f64()
            .partial_cmp(&b.as_f64())
            .unwrap_or(Ordering::Equal),
        (_, Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (_, Value::String(a), Value::String(b)) => a.to_lowercase().cmp(&b.to_lowercase()),
        _ => Ordering::Equal,
    }
}

pub(super) fn compare(
    field: &shape::Field,
    value: &Value,
    operator: &str,
    wanted: &Value,
) -> Result<bool, Refusal> {
    let mismatch = || {
        Refusal::bad(
            "INVALID_QUERY_FILTER_OPERATOR",
            format!(
                "value of filter criterion for field '{}' is of the wrong type",
                field.name
            ),
        )
    };
    if matches!(field.kind, Kind::LongText(_)) {
        return Err(Refusal::bad(
            "INVALID_FIELD",
            format!("field '{}' can not be filtered in a query call", field.name),
        ));
    }
    if wanted.is_null() {
        return match operator {
            "=" => Ok(value.is_null()),
            "!=" => Ok(!value.is_null()),
            _ => Err(mismatch()),
        };
    }
    if let (Kind::Id | Kind::Reference(..), Value::String(id)) = (field.kind, wanted) {
        let id = ids::canonical(id).ok_or_else(|| {
            Refusal::bad(
                "INVALID_QUERY_FILTER_OPERATOR",
                format!("invalid ID field: {id}"),
            )
        })?;
        return match operator {
            "=" => Ok(value == &Value::from(id)),
            "!=" => Ok(value != &Value::from(id)),
            _ => Ok(value
                .as_str()
                .is_some_and(|own| ordered(own.cmp(id.as_str()), operator))),
        };
    }
    let fits = match field.kind {
        Kind::Number(..) => wanted.is_number(),
        Kind::Checkbox => wanted.is_boolean(),
        Kind::DateTime => wanted.as_str().and_then(parse_datetime).is_some(),
        _ => wanted.is_string(),
    };
    if !fits {
        return Err(mismatch());
    }
    if value.is_null() {
        return Ok(operator == "!=");
    }
    if operator == "like" {
        return match (value, wanted) {
            (Value::String(text), Value::String(pattern)) => {
                Ok(like(&text.to_lowercase(), &pattern.to_lowercase()))
            }
            _ => Err(mismatch()),
        };
    }
    if field.external_id && operator == "=" {
        return Ok(value == wanted);
    }
    Ok(ordered(rank(field, value, wanted), operator))
}

fn ordered(ordering: Ordering, operator: &str) -> bool {
    match operator {
        "=" => ordering.is_eq(),
        "!=" => ordering.is_ne(),
        "<" => ordering.is_lt(),
        "<=" => ordering.is_le(),
        ">" => ordering.is_gt(),
        ">=" => ordering.is_ge(),
        _ => false,
    }
}

/// `%` matches any run, `_` any character.
fn like(text: &str, pattern: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => text.is_empty(),
        Some('%') => {
            let rest = pattern_chars.as_str();
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| like(&text[at..], rest))
        }
        Some(wanted) => {
            let mut chars = text.chars();
            chars
                .next()
                .is_some_and(|found| wanted == '_' || found == wanted)
                && like(chars.as_str(), pattern_chars.as_str())
        }
    }
}
