//! Decoding of valid and invalid payloads.

use super::*;
use crate::fuzzing::SCHEMA;
use apache_avro::writer::datum::GenericDatumWriter;
use proptest::prelude::*;

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

/// A schema with `CreatedDate` and these fields.
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
fn published_vector_decodes() {
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
fn payload_not_matching_schema_is_malformed() {
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
    // A string with a declared length of 2^62 bytes.
    let mut huge = vec![0x00];
    huge.extend([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01]);
    assert_eq!(reason(SCHEMA, &huge), UndecodableReason::Malformed);
}

#[test]
fn missing_and_invalid_order_ids_are_distinguished() {
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
fn version_may_be_any_number() {
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

/// The published event with another value for one text field.
fn with_text(name: &str, text: &str) -> Result<(ProvisionRequest, f64), DecodeError> {
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
fn text_too_long_or_with_control_characters_is_malformed() {
    let longest = "ü".repeat(80);
    for name in ["IdemKey__c", "CorrelationId__c", "RequestedBy__c"] {
        assert!(with_text(name, &longest).is_ok(), "{name}");
        for wrong in ["a\0b", "a\u{7f}", "a\u{85}", "a\nb", &format!("{longest}x")] {
            let error = with_text(name, wrong).unwrap_err();
            assert_eq!(error.reason, UndecodableReason::Malformed);
            assert!(error.detail.contains(name), "{}", error.detail);
            let order = ("OrderId__c".to_owned(), "801000000000001AAA".to_owned());
            assert!(
                error.fields.contains(&order),
                "the fields are shown to operators"
            );
        }
    }
    let error = with_text("OrderId__c", "801000000000001AA\0").unwrap_err();
    assert_eq!(error.reason, UndecodableReason::InvalidOrder);
}

#[test]
fn out_of_range_timestamp_is_malformed() {
    let schema = schema_with(r#",{"name":"OrderId__c","type":"string"}"#);
    for wrong in [i64::MIN, -1, i64::MAX] {
        let order = Value::String("801000000000001AAA".to_owned());
        let fields = vec![("CreatedDate", Value::Long(wrong)), ("OrderId__c", order)];
        let bytes = encode(&schema, fields);
        assert_eq!(reason(&schema, &bytes), UndecodableReason::Malformed);
    }
}

#[test]
fn recursive_schema_is_rejected() {
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
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = request(&parse_schema(SCHEMA).unwrap(), &bytes);
    }

    #[test]
    fn corrupted_payload_never_panics(at in 0_usize..64, byte in any::<u8>()) {
        let mut bytes = vector();
        bytes[at] = byte;
        let _ = request(&parse_schema(SCHEMA).unwrap(), &bytes);
    }
}
