//! Records as they come: field names are not known before run time, and numbers must keep
//! their digits.

use std::collections::HashMap;
use std::time::SystemTime;

use domain::decimal::Decimal;
use domain::id::{Id, Kind};
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Failure;

/// Something in a record is not what it should be.
#[derive(Debug, thiserror::Error)]
#[error("{field} of a Salesforce record is no {expected}")]
pub(crate) struct Odd {
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
    /// Where the rest is; an error when there is one and it cannot be told where.
    pub(crate) fn rest(&self) -> Result<Option<String>, Failure> {
        match &self.next {
            _ if self.done => Ok(None),
            Some(path) if path.starts_with('/') => Ok(Some(path.clone())),
            _ => Err(Failure::garbled(
                "a page is not the last and names no next one",
            )),
        }
    }
}

impl Row {
    fn raw(&self, field: &str) -> Option<&str> {
        // Answers use the org's spelling, whatever the question's.
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

    fn odd(field: &str, expected: &'static str) -> Failure {
        Failure::garbled(Box::new(Odd {
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
            .map(|raw| serde_json::from_str(raw).map_err(|_| Self::odd(field, expected)))
            .transpose()
    }

    /// A text that is there and not blank. A whole number counts as its digits: some orgs
    /// keep ids in number fields.
    pub(crate) fn text(&self, field: &str) -> Result<Option<String>, Failure> {
        let Some(raw) = self.raw(field) else {
            return Ok(None);
        };
        let text = if raw.starts_with('"') {
            serde_json::from_str(raw).map_err(|_| Self::odd(field, "text"))?
        } else {
            let number: Decimal = raw.parse().map_err(|_| Self::odd(field, "text"))?;
            number
                .whole()
                .map_or_else(|| number.to_string(), |whole| whole.to_string())
        };
        Ok(Some(text).filter(|text: &String| !text.trim().is_empty()))
    }

    /// A number with all its digits.
    pub(crate) fn decimal(&self, field: &str) -> Result<Option<Decimal>, Failure> {
        self.raw(field)
            .map(|raw| raw.parse().map_err(|_| Self::odd(field, "number")))
            .transpose()
    }

    /// A point in time.
    pub(crate) fn time(&self, field: &str) -> Result<Option<Timestamp>, Failure> {
        self.text(field)?
            .map(|text| parse_time(&text).ok_or_else(|| Self::odd(field, "point in time")))
            .transpose()
    }

    /// An id of a kind.
    pub(crate) fn id<K: Kind>(&self, field: &str) -> Result<Option<Id<K>>, Failure> {
        self.text(field)?
            .map(|text| Id::parse(&text).map_err(|error| Failure::garbled(Box::new(error))))
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

/// Reads `2026-11-24T01:51:16.000+0000`; the offset has no colon.
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

/// The form that writes take.
pub(crate) fn write_time(at: Timestamp) -> String {
    timestamp(at)
        .strftime("%Y-%m-%dT%H:%M:%S%.3f+0000")
        .to_string()
}

/// The form that queries take.
pub(crate) fn query_time(at: Timestamp) -> String {
    timestamp(at).strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// The form that HTTP headers take; it drops fractions of a second.
pub(crate) fn http_time(at: Timestamp) -> String {
    httpdate::fmt_http_date(SystemTime::from(timestamp(at)))
}

/// A text inside quotes of a query.
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
    fn times_are_read_and_written_in_each_form() {
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
    fn numbers_keep_their_digits() {
        let row = row(r#"{"UnitPrice":12345678901234567.89,"Quantity":1.0}"#);
        let price = row.decimal("UnitPrice").unwrap().unwrap();
        assert_eq!(price.to_string(), "12345678901234567.89");
        let quantity = row.decimal("quantity").unwrap().unwrap();
        assert_eq!(quantity.whole(), Some(1));
    }

    #[test]
    fn absent_null_and_blank_are_the_same_and_number_fields_may_hold_ids() {
        let row = row(r#"{"a":null,"b":"","c":" ","d":123.0,"e":"x","f":true}"#);
        for field in ["a", "b", "c", "missing"] {
            assert_eq!(row.text(field).unwrap(), None, "{field}");
        }
        assert_eq!(row.text("d").unwrap().as_deref(), Some("123"));
        assert_eq!(row.text("E").unwrap().as_deref(), Some("x"));
        assert!(row.text("f").is_err());
    }

    #[test]
    fn a_quote_cannot_end_the_text() {
        assert_eq!(quoted(r"a'b\"), r"'a\'b\\'");
    }

    #[test]
    fn a_page_that_is_not_the_last_must_say_where_the_rest_is() {
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
