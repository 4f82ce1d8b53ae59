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
const LONGEST: usize = 255;

/// Names and values as people read them, bounded; what is no plain value is left out.
fn readable(fields: &[(String, Value)]) -> Vec<(String, String)> {
    let cut = |text: &str| text.chars().take(LONGEST).collect::<String>();
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
pub(crate) mod tests {
    use super::*;
    use apache_avro::writer::datum::GenericDatumWriter;
    use proptest::prelude::*;

    pub(crate) const SCHEMA: &str = r#"{"type":"record","name":"OrderProvisionRequested__e","namespace":"com.sforce.eventbus","fields":[
     {"name":"CreatedDate","type":"long","doc":"CreatedDate:DateTime"},
     {"name":"CreatedById","type":"string","doc":"CreatedBy:EntityId"},
     {"name":"OrderId__c","type":["null","string"],"doc":"Data:Text:00N000000000001","default":null},
     {"name":"IdemKey__c","type":["null","string"],"doc":"Data:Text:00N000000000002","default":null},
     {"name":"CorrelationId__c","type":["null","string"],"doc":"Data:Text:00N000000000003","default":null},
     {"name":"RequestedBy__c","type":["null","string"],"doc":"Data:Text:00N000000000004","default":null},
     {"name":"Version__c","type":["null","double"],"doc":"Data:Double:00N000000000005","default":null}]}"#;

    const VECTOR: &str = "80a0d5edee66 24 303035303030303030303030303031414141 02 24 383031303030303030303030303031414141 02 04 6b31 00 02 06 616461 02 000000000000f03f";

    fn vector() -> Vec<u8> {
        let digits: String = VECTOR.split(' ').collect();
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect()
    }

    fn reason(schema: &str, payload: &[u8]) -> UndecodableReason {
        request(&parse_schema(schema).unwrap(), payload)
            .unwrap_err()
            .reason
    }

    /// A schema of the two system fields and these.
    fn schema_with(fields: &str) -> String {
        format!(
            r#"{{"type":"record","name":"E__e","fields":[{{"name":"CreatedDate","type":"long"}}{fields}]}}"#
        )
    }

    fn encode(schema: &str, fields: Vec<(&str, Value)>) -> Vec<u8> {
        let schema = parse_schema(schema).unwrap();
        let fields = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        GenericDatumWriter::builder(&schema)
            .build()
            .unwrap()
            .write_value_to_vec(Value::Record(fields))
            .unwrap()
    }

    #[test]
    fn the_published_vector_decodes() {
        let bytes = vector();
        assert_eq!(bytes.len(), 64);
        let (request, version) = request(&parse_schema(SCHEMA).unwrap(), &bytes).unwrap();
        assert_eq!(request.order.as_str(), "801000000000001AAA");
        assert_eq!(request.idem_key.unwrap().as_str(), "k1");
        assert_eq!(request.correlation, None);
        assert_eq!(request.requested_by.as_deref(), Some("ada"));
        assert_eq!(request.created_at.as_millis(), 1_767_225_600_000);
        assert_eq!((request.version, version), (1, 1.0));
    }

    #[test]
    fn what_does_not_fit_its_schema_is_malformed() {
        let bytes = vector();
        for end in 0..bytes.len() {
            assert_eq!(
                reason(SCHEMA, &bytes[..end]),
                UndecodableReason::Malformed,
                "{end}"
            );
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(reason(SCHEMA, &longer), UndecodableReason::Malformed);
        // A text that claims to be 2^62 bytes long.
        let mut huge = vec![0x00];
        huge.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]);
        assert_eq!(reason(SCHEMA, &huge), UndecodableReason::Malformed);
    }

    #[test]
    fn an_event_that_names_no_order_says_so() {
        let schema = schema_with(r#",{"name":"OrderId__c","type":["null","string"]}"#);
        let bytes = |order: Value, branch| {
            encode(
                &schema,
                vec![
                    ("CreatedDate", Value::Long(1)),
                    ("OrderId__c", Value::Union(branch, Box::new(order))),
                ],
            )
        };
        let text = |text: &str| bytes(Value::String(text.to_owned()), 1);
        assert_eq!(
            reason(&schema, &bytes(Value::Null, 0)),
            UndecodableReason::MissingOrder
        );
        assert_eq!(reason(&schema, &text(" ")), UndecodableReason::MissingOrder);
        for wrong in ["x", "001000000000001AAA", "801000000000001AAB"] {
            assert_eq!(
                reason(&schema, &text(wrong)),
                UndecodableReason::InvalidOrder
            );
        }
        let parsed = parse_schema(&schema).unwrap();
        assert!(request(&parsed, &text("801000000000001")).is_ok());
        let bare = schema_with("");
        let bytes = encode(&bare, vec![("CreatedDate", Value::Long(1))]);
        assert_eq!(reason(&bare, &bytes), UndecodableReason::MissingOrder);
    }

    #[test]
    fn a_version_may_be_any_number_or_absent() {
        for (kind, value, expected) in [
            (r#""double""#, Value::Double(2.0), Some(2.0)),
            (r#""double""#, Value::Double(1.5), Some(1.0)),
            (r#""double""#, Value::Double(f64::NAN), Some(1.0)),
            (r#""int""#, Value::Int(3), Some(3.0)),
            (r#""long""#, Value::Long(i64::MAX), Some(i64::MAX as f64)),
            (r#""string""#, Value::String("4".to_owned()), Some(4.0)),
            (r#""string""#, Value::String("new".to_owned()), Some(1.0)),
            (r#""boolean""#, Value::Boolean(true), None),
        ] {
            let schema = schema_with(&format!(
                r#",{{"name":"OrderId__c","type":"string"}},{{"name":"Version__c","type":{kind}}}"#
            ));
            let bytes = encode(
                &schema,
                vec![
                    ("CreatedDate", Value::Long(1)),
                    ("OrderId__c", Value::String("801000000000001AAA".to_owned())),
                    ("Version__c", value),
                ],
            );
            let got = request(&parse_schema(&schema).unwrap(), &bytes);
            assert_eq!(got.map(|(_, version)| version).ok(), expected, "{kind}");
        }
    }

    /// The published event with another value of one of its texts.
    fn with_text(name: &str, text: &str) -> Result<(ProvisionRequest, f64), Unusable> {
        let fields = [
            "OrderId__c",
            "IdemKey__c",
            "CorrelationId__c",
            "RequestedBy__c",
        ];
        let mut values = vec![
            ("CreatedDate", Value::Long(1)),
            ("CreatedById", Value::String(String::new())),
        ];
        for field in fields {
            let value = match (field == name, field) {
                (true, _) => text,
                (false, "OrderId__c") => "801000000000001AAA",
                (false, _) => "x",
            };
            let value = Box::new(Value::String(value.to_owned()));
            values.push((field, Value::Union(1, value)));
        }
        let none = Value::Union(0, Box::new(Value::Null));
        values.push(("Version__c", none));
        let bytes = encode(SCHEMA, values);
        request(&parse_schema(SCHEMA).unwrap(), &bytes)
    }

    #[test]
    fn a_text_with_control_characters_or_longer_than_its_field_is_malformed() {
        let longest = "ü".repeat(80);
        for name in ["IdemKey__c", "CorrelationId__c", "RequestedBy__c"] {
            assert!(with_text(name, &longest).is_ok(), "{name}");
            for wrong in ["a\0b", "a\u{7f}", "a\u{85}", "a\nb", &format!("{longest}x")] {
                let unusable = with_text(name, wrong).unwrap_err();
                assert_eq!(unusable.reason, UndecodableReason::Malformed);
                assert!(unusable.detail.contains(name), "{}", unusable.detail);
                let order = ("OrderId__c".to_owned(), "801000000000001AAA".to_owned());
                assert!(unusable.fields.contains(&order), "people see what it meant");
            }
        }
        let unusable = with_text("OrderId__c", "801000000000001AA\0").unwrap_err();
        assert_eq!(unusable.reason, UndecodableReason::InvalidOrder);
    }

    #[test]
    fn a_point_in_time_that_no_calendar_has_is_malformed() {
        let schema = schema_with(r#",{"name":"OrderId__c","type":"string"}"#);
        for wrong in [i64::MIN, -1, i64::MAX] {
            let order = Value::String("801000000000001AAA".to_owned());
            let fields = vec![("CreatedDate", Value::Long(wrong)), ("OrderId__c", order)];
            let bytes = encode(&schema, fields);
            assert_eq!(reason(&schema, &bytes), UndecodableReason::Malformed);
        }
    }

    #[test]
    fn a_schema_that_could_lead_in_circles_is_not_used() {
        for json in [
            "",
            r#""string""#,
            r#"{"type":"record","name":"A","fields":[{"name":"a","type":"A"}]}"#,
            r#"{"type":"record","name":"A","fields":[{"name":"a","type":{"type":"array","items":"null"}}]}"#,
        ] {
            assert!(parse_schema(json).is_err(), "{json}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = request(&parse_schema(SCHEMA).unwrap(), &bytes);
        }

        #[test]
        fn no_damage_to_a_good_payload_makes_it_panic(at in 0_usize..64, byte in any::<u8>()) {
            let mut bytes = vector();
            bytes[at] = byte;
            let _ = request(&parse_schema(SCHEMA).unwrap(), &bytes);
        }
    }
}
