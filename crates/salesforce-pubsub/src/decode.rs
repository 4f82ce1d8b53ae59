//! From a payload to a request.

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use domain::id::OrderId;
use domain::job::ProvisionRequest;
use domain::key::{CorrelationId, IdemKey};
use domain::ports::UndecodableReason;
use domain::time::Timestamp;

/// Why a payload asks for nothing, with the particulars (which hold none of it).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unusable {
    pub(crate) reason: UndecodableReason,
    pub(crate) detail: String,
    /// Names and values, where it decodes.
    pub(crate) fields: Vec<(String, String)>,
}

fn malformed(detail: impl Into<String>) -> Unusable {
    Unusable {
        reason: UndecodableReason::Malformed,
        detail: detail.into(),
        fields: Vec::new(),
    }
}

/// A message is at most 4 MiB, so nothing in it can be longer.
const LARGEST_VALUE: usize = 4 * 1024 * 1024;

/// The length of the event's text fields, in characters: `Text(80)`.
const LABEL: usize = 80;
/// Milliseconds from 1970 to the end of the year 9999; what lies outside cannot be reckoned with.
const TIMES: std::ops::Range<i64> = 0..253_402_300_800_000;

/// A schema that can be decoded with, or why not.
///
/// Events hold plain values. A schema that refers to itself could send the decoder round in
/// circles, so it counts as one that cannot be understood.
pub(crate) fn parse_schema(json: &str) -> Result<Schema, String> {
    // The decoder's own bound is far above; it can only be set once for the process.
    apache_avro::util::max_allocation_bytes(LARGEST_VALUE);
    let schema = Schema::parse_str(json)
        .map_err(|error| format!("the schema is no Avro schema: {error}"))?;
    if !matches!(schema, Schema::Record(_)) {
        return Err("the schema is no record".to_owned());
    }
    if !is_plain(&schema) {
        return Err("the schema holds arrays, maps or references".to_owned());
    }
    Ok(schema)
}

fn is_plain(schema: &Schema) -> bool {
    match schema {
        Schema::Ref { .. } | Schema::Array(_) | Schema::Map(_) => false,
        Schema::Record(record) => record.fields.iter().all(|field| is_plain(&field.schema)),
        Schema::Union(union) => union.variants().iter().all(is_plain),
        _ => true,
    }
}

/// Bytes whose end is an error of its own: the decoder takes an ordinary end in the middle of
/// a value for null, so a payload that was cut off would pass for one with empty fields.
struct Strict<'a>(&'a [u8]);

impl std::io::Read for Strict<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() && !into.is_empty() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "the payload ends too early",
            ));
        }
        self.0.read(into)
    }
}

/// Decodes a payload that was written with `schema`.
///
/// Answers the request, and the event's version as it stands there.
pub(crate) fn request(
    schema: &Schema,
    payload: &[u8],
) -> Result<(ProvisionRequest, f64), Unusable> {
    let mut rest = Strict(payload);
    let value = GenericDatumReader::builder(schema)
        .build()
        .and_then(|reader| reader.read_value(&mut rest))
        .map_err(|_| malformed("the payload does not fit its schema"))?;
    // The decoder does not mind what follows; a wrong schema often shows only there.
    let left_over = rest.0.len();
    if left_over > 0 {
        return Err(malformed(format!(
            "{left_over} bytes are left over after the record"
        )));
    }
    let Value::Record(fields) = value else {
        return Err(malformed("the payload is no record"));
    };
    let field = |name: &str| {
        fields
            .iter()
            .find(|(field, _)| field == name)
            .map_or(&Value::Null, |(_, value)| inner(value))
    };
    let text = |name: &str| match field(name) {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        _ => Err(malformed(format!("{name} is no text"))),
    };
    let label = |name: &str| {
        let text = text(name)?;
        let wrong = match &text {
            Some(text) if text.contains(char::is_control) => "has control characters".to_owned(),
            Some(text) if text.chars().count() > LABEL => {
                format!("is longer than the {LABEL} characters of its field")
            }
            _ => return Ok(text),
        };
        Err(Unusable {
            fields: readable(&fields),
            ..malformed(format!("{name} {wrong}"))
        })
    };
    let created_at = match field("CreatedDate") {
        Value::Long(millis) | Value::TimestampMillis(millis) if TIMES.contains(millis) => {
            Timestamp::from_millis(*millis)
        }
        _ => return Err(malformed("CreatedDate is no point in time")),
    };
    let (idem_key, correlation) = (label("IdemKey__c")?, label("CorrelationId__c")?);
    let requested_by = label("RequestedBy__c")?;
    let version = version(field("Version__c"))?;
    let order = text("OrderId__c")?
        .filter(|text| !text.trim().is_empty())
        .ok_or_else(|| Unusable {
            reason: UndecodableReason::MissingOrder,
            detail: "the event has no OrderId__c".to_owned(),
            fields: readable(&fields),
        })?;
    let order = OrderId::parse(order.trim()).map_err(|error| Unusable {
        reason: UndecodableReason::InvalidOrder,
        detail: error.to_string(),
        fields: readable(&fields),
    })?;
    let request = ProvisionRequest {
        order,
        idem_key: idem_key.and_then(IdemKey::new),
        correlation: correlation.and_then(CorrelationId::new),
        requested_by: requested_by.filter(|text| !text.trim().is_empty()),
        // There is one version so far, and later ones are read as far as we understand them.
        version: 1,
        created_at,
    };
    Ok((request, version))
}

/// More fields than an event has, and longer values than one needs.
const FIELDS: usize = 50;
const MAX_LEN: usize = 255;

/// Names and values as people read them, bounded; what is no plain value is left out.
fn readable(fields: &[(String, Value)]) -> Vec<(String, String)> {
    let cut = |text: &str| text.chars().take(MAX_LEN).collect::<String>();
    let plain = fields.iter().filter_map(|(name, value)| {
        let text = match inner(value) {
            Value::String(text) => cut(text),
            Value::Boolean(flag) => flag.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Long(number) | Value::TimestampMillis(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Double(number) => number.to_string(),
            Value::Null => "null".to_owned(),
            _ => return None,
        };
        Some((cut(name), text))
    });
    plain.take(FIELDS).collect()
}

fn inner(value: &Value) -> &Value {
    match value {
        Value::Union(_, value) => inner(value),
        value => value,
    }
}

/// The version as a number; 1 when it is absent or no whole number.
fn version(value: &Value) -> Result<f64, Unusable> {
    let number = match value {
        Value::Null => 1.0,
        Value::Double(number) => *number,
        Value::Float(number) => f64::from(*number),
        Value::Int(number) => f64::from(*number),
        Value::Long(number) => *number as f64,
        Value::String(text) => text.trim().parse().unwrap_or(1.0),
        _ => return Err(malformed("Version__c is no number")),
    };
    Ok(if number.is_finite() && number.fract() == 0.0 {
        number
    } else {
        1.0
    })
}

#[cfg(test)]
pub(crate) mod tests;
