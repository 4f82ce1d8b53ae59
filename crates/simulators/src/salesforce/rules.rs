//! Validation: types, lengths, picklists, references.
use serde_json::{Value, json};

use super::shape::{Field, Kind};
use crate::clock::{parse_datetime, salesforce_datetime};

/// A Salesforce error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// HTTP status it is sent with.
    pub status: u16,
    /// `errorCode`, or `statusCode` in collections.
    pub code: String,
    /// Message.
    pub message: String,
    /// Fields concerned.
    pub fields: Vec<String>,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            fields: Vec::new(),
        }
    }

    pub(crate) fn bad(code: &str, message: impl Into<String>) -> Self {
        Self::new(400, code, message)
    }

    pub(crate) fn on(mut self, field: &str) -> Self {
        self.fields.push(field.to_owned());
        self
    }

    pub(crate) fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    /// The body of a REST error.
    pub(crate) fn body(&self) -> Value {
        let mut error = json!({"message": self.message, "errorCode": self.code});
        if !self.fields.is_empty() {
            error["fields"] = json!(self.fields);
        }
        json!([error])
    }

    /// The error inside a collection's result.
    pub(crate) fn save_result(&self) -> Value {
        json!({
            "success": false,
            "errors": [{"statusCode": self.code, "message": self.message, "fields": self.fields}],
        })
    }
}

/// The stored form of a value, or a validation error.
pub(crate) fn accept(field: &Field, value: &Value) -> Result<Value, Refusal> {
    if value.is_null() {
        return if field.required {
            Err(Refusal::bad(
                "REQUIRED_FIELD_MISSING",
                format!("Required fields are missing: [{}]", field.name),
            )
            .on(field.name))
        } else {
            Ok(Value::Null)
        };
    }
    match field.kind {
        Kind::Id | Kind::Reference(..) => {
            let id = value.as_str().and_then(super::ids::canonical);
            id.map(Value::from).ok_or_else(|| {
                Refusal::bad(
                    "MALFORMED_ID",
                    format!("{}: id value of incorrect type: {value}", field.name),
                )
                .on(field.name)
            })
        }
        Kind::Text(limit) | Kind::LongText(limit) => text(field, value, limit),
        Kind::Number(digits, places) => number(field, value, digits, places),
        Kind::Date => value
            .as_str()
            .and_then(|text| text.parse::<jiff::civil::Date>().ok())
            .map(|date| Value::from(date.to_string()))
            .ok_or_else(|| unreadable(field, value, "xsd:date")),
        Kind::DateTime => value
            .as_str()
            .and_then(parse_datetime)
            .map(|at| Value::from(salesforce_datetime(at)))
            .ok_or_else(|| unreadable(field, value, "xsd:dateTime")),
        Kind::Picklist(values) => match value.as_str() {
            Some("") => Ok(Value::Null),
            Some(text) if values.contains(&text) => Ok(Value::from(text)),
            _ => Err(Refusal::bad(
                "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
                format!(
                    "{}: bad value for restricted picklist field: {}",
                    field.name,
                    value.as_str().unwrap_or_default()
                ),
            )
            .on(field.name)),
        },
        Kind::Checkbox => value
            .as_bool()
            .map(Value::from)
            .ok_or_else(|| unreadable(field, value, "xsd:boolean")),
    }
}

fn unreadable(field: &Field, value: &Value, kind: &str) -> Refusal {
    Refusal::bad(
        "JSON_PARSER_ERROR",
        format!("Cannot deserialize {value} as {kind} for {}", field.name),
    )
    .on(field.name)
}

fn text(field: &Field, value: &Value, limit: usize) -> Result<Value, Refusal> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => return Err(unreadable(field, value, "xsd:string")),
    };
    if text.is_empty() {
        return Ok(Value::Null);
    }
    if text.chars().count() > limit {
        return Err(Refusal::bad(
            "STRING_TOO_LONG",
            format!(
                "{}: data value too large: {} (max length={limit})",
                field.name,
                text.chars().take(40).collect::<String>()
            ),
        )
        .on(field.name));
    }
    Ok(Value::from(text))
}

fn number(field: &Field, value: &Value, digits: u32, places: u32) -> Result<Value, Refusal> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let number = number.ok_or_else(|| unreadable(field, value, "xsd:double"))?;
    if number.abs() >= 10f64.powi(i32::try_from(digits).unwrap_or(16)) {
        return Err(Refusal::bad(
            "NUMBER_OUTSIDE_VALID_RANGE",
            format!("{}: value outside of valid range: {number}", field.name),
        )
        .on(field.name));
    }
    let scale = 10f64.powi(i32::try_from(places).unwrap_or(0));
    Ok(Value::from((number * scale).round() / scale))
}
