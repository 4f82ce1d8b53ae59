//! Wire records: field names are only known at run time, and numbers must keep their digits.

use std::collections::HashMap;
use std::time::SystemTime;

use domain::decimal::Decimal;
use domain::id::{Id, Kind};
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Failure;

/// A field of a record has an unexpected value.
#[derive(Debug, thiserror::Error)]
#[error("{field} of a Salesforce record is not a valid {expected}")]
pub(crate) struct UnexpectedValue {
    field: String,
    expected: &'static str,
}

/// One record.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(crate) struct Row(HashMap<String, Box<RawValue>>);

/// A page of records.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    pub(crate) done: bool,
    pub(crate) records: Vec<Row>,
    #[serde(rename = "nextRecordsUrl")]
    pub(crate) next: Option<String>,
}

impl Page {
    /// The URL of the next page; an error if it is missing on a page that is not the last.
    pub(crate) fn rest(&self) -> Result<Option<String>, Failure> {
        match &self.next {
            _ if self.done => Ok(None),
            Some(path) if path.starts_with('/') => Ok(Some(path.clone())),
            _ => Err(Failure::unexpected(
                "a page is not the last but has no next page",
            )),
        }
    }
}

impl Row {
    fn raw(&self, field: &str) -> Option<&str> {
        // Answers use the org's spelling, whatever the request's.
        self.0
            .get(field)
            .or_else(|| {
                self.0
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case(field))
                    .map(|(_, value)| value)
            })
            .map(|value| value.get())
            .filter(|raw| *raw != "null")
    }

    fn unexpected_value(field: &str, expected: &'static str) -> Failure {
        Failure::unexpected(Box::new(UnexpectedValue {
            field: field.to_owned(),
            expected,
        }))
    }

    fn parsed<'a, T: Deserialize<'a>>(
        &'a self,
        field: &str,
        expected: &'static str,
    ) -> Result<Option<T>, Failure> {
        self.raw(field)
            .map(|raw| {
                serde_json::from_str(raw).map_err(|_| Self::unexpected_value(field, expected))
            })
            .transpose()
    }

    /// A text that is present and not blank. A whole number is read as its digits: some orgs store
    /// ids in number fields.
    pub(crate) fn text(&self, field: &str) -> Result<Option<String>, Failure> {
        let Some(raw) = self.raw(field) else {
            return Ok(None);
        };
        let text = if raw.starts_with('"') {
            serde_json::from_str(raw).map_err(|_| Self::unexpected_value(field, "text"))?
        } else {
            let number: Decimal = raw
                .parse()
                .map_err(|_| Self::unexpected_value(field, "text"))?;
            number
                .whole()
                .map_or_else(|| number.to_string(), |whole| whole.to_string())
        };
        Ok(Some(text).filter(|text: &String| !text.trim().is_empty()))
    }

    /// A decimal number.
    pub(crate) fn decimal(&self, field: &str) -> Result<Option<Decimal>, Failure> {
        self.raw(field)
            .map(|raw| {
                raw.parse()
                    .map_err(|_| Self::unexpected_value(field, "number"))
            })
            .transpose()
    }

    /// A timestamp.
    pub(crate) fn time(&self, field: &str) -> Result<Option<Timestamp>, Failure> {
        self.text(field)?
            .map(|text| parse_time(&text).ok_or_else(|| Self::unexpected_value(field, "timestamp")))
            .transpose()
    }

    /// An id of this kind.
    pub(crate) fn id<K: Kind>(&self, field: &str) -> Result<Option<Id<K>>, Failure> {
        self.text(field)?
            .map(|text| Id::parse(&text).map_err(|error| Failure::unexpected(Box::new(error))))
            .transpose()
    }

    /// A parent record.
    pub(crate) fn row(&self, field: &str) -> Result<Option<Self>, Failure> {
        self.parsed(field, "record")
    }

    /// Child records.
    pub(crate) fn page(&self, field: &str) -> Result<Option<Page>, Failure> {
        self.parsed(field, "list of records")
    }
}

/// Parses `2026-11-24T01:51:16.000+0000`; the offset has no colon.
fn parse_time(text: &str) -> Option<Timestamp> {
    let broken_down = ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M:%S%.f%:z"]
        .iter()
        .find_map(|format| jiff::fmt::strtime::parse(format, text).ok());
    let at = match broken_down {
        Some(parts) => parts.to_timestamp().ok()?,
        None => text.parse().ok()?,
    };
    Some(Timestamp::from_millis(at.as_millisecond()))
}

fn timestamp(at: Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or_default()
}

/// The format for writes.
pub(crate) fn write_time(at: Timestamp) -> String {
    timestamp(at)
        .strftime("%Y-%m-%dT%H:%M:%S%.3f+0000")
        .to_string()
}

/// The format for queries.
pub(crate) fn query_time(at: Timestamp) -> String {
    timestamp(at).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The format for HTTP headers; it drops fractions of a second.
pub(crate) fn http_time(at: Timestamp) -> String {
    httpdate::fmt_http_date(SystemTime::from(timestamp(at)))
}

/// A quoted and escaped text for a query.
pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        if matches!(c, '\\' | '\'') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(json: &str) -> Row {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn timestamps_round_trip_in_each_format() {
        let at = parse_time("2026-11-24T01:51:16.250+0000").unwrap();
        assert_eq!(write_time(at), "2026-11-24T01:51:16.250+0000");
        assert_eq!(query_time(at), "2026-11-24T01:51:16.250Z");
        assert_eq!(http_time(at), "Tue, 24 Nov 2026 01:51:16 GMT");
        for text in [
            "2026-11-24T01:51:16.250Z",
            "2026-11-24T03:51:16.250+0200",
            "2026-11-24T03:51:16.250+02:00",
        ] {
            assert_eq!(parse_time(text), Some(at), "{text}");
        }
        assert_eq!(parse_time("yesterday"), None);
    }

    #[test]
    fn numbers_keep_digits() {
        let row = row(r#"{"UnitPrice":12345678901234567.89,"Quantity":1.0}"#);
        let price = row.decimal("UnitPrice").unwrap().unwrap();
        assert_eq!(price.to_string(), "12345678901234567.89");
        let quantity = row.decimal("quantity").unwrap().unwrap();
        assert_eq!(quantity.whole(), Some(1));
    }

    #[test]
    fn blank_fields_are_absent_and_number_fields_may_hold_ids() {
        let row = row(r#"{"a":null,"b":"","c":" ","d":123.0,"e":"x","f":true}"#);
        for field in ["a", "b", "c", "missing"] {
            assert_eq!(row.text(field).unwrap(), None, "{field}");
        }
        assert_eq!(row.text("d").unwrap().as_deref(), Some("123"));
        assert_eq!(row.text("E").unwrap().as_deref(), Some("x"));
        assert!(row.text("f").is_err());
    }

    #[test]
    fn quotes_are_escaped() {
        assert_eq!(quoted(r"a'b\"), r"'a\'b\\'");
    }

    #[test]
    fn unfinished_page_requires_a_next_page() {
        let page = |json: &str| serde_json::from_str::<Page>(json).unwrap().rest();
        assert!(page(r#"{"done":true,"records":[]}"#).unwrap().is_none());
        assert!(
            page(r#"{"done":false,"records":[],"nextRecordsUrl":"/n"}"#)
                .unwrap()
                .is_some()
        );
        assert!(page(r#"{"done":false,"records":[]}"#).is_err());
        assert!(page(r#"{"done":false,"records":[],"nextRecordsUrl":"https://x"}"#).is_err());
    }
}
