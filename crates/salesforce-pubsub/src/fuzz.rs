//! Fuzz targets: payloads, and schemas with payloads (`fuzz/README.md`).

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use testkit::fuzz::Target;

use crate::decode::tests::SCHEMA;
use crate::decode::{parse_schema, request};

#[test]
fn decoding_never_panics_or_leaks_payload() {
    let schema = parse_schema(SCHEMA).unwrap();
    let target = Target {
        name: "avro_payload",
        dictionary: &["801000000000001AAA", "\u{2}", "\u{0}", "\u{24}"],
    };
    target.hold(|payload| match request(&schema, payload) {
        Ok((request, _)) => assert!(request.order.as_str().len() == 18),
        // The detail is for operators and logs: short and without payload.
        Err(error) => assert!(error.detail.len() < 300, "{}", error.detail),
    });
}

#[test]
fn schema_parsing_never_panics_or_loops() {
    let target = Target {
        name: "avro_schema",
        dictionary: &[
            r#"{"type":"record","name":"A","fields":["#,
            r#"{"name":"a","type":"#,
            r#""A""#,
            r#"{"type":"array","items":"#,
            r#"{"type":"map","values":"#,
            r#"{"type":"fixed","name":"F","size":4294967295}"#,
            r#"["null","string"]"#,
            r#""logicalType":"decimal","precision":4,"scale":2"#,
            "]}",
        ],
    };
    target.hold(|bytes| {
        let (json, payload) = match bytes.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&bytes[..at], &bytes[at + 1..]),
            None => (bytes, &[][..]),
        };
        if let Ok(schema) = parse_schema(&String::from_utf8_lossy(json)) {
            let _ = request(&schema, payload);
            let _ = request(&schema, &[0; 256]);
            let _ = request(&schema, &[0xff; 256]);
        }
    });
}

#[test]
fn encoded_events_round_trip() {
    let schema = parse_schema(SCHEMA).unwrap();
    let target = Target {
        name: "avro_payload",
        dictionary: &[],
    };
    target.hold(|bytes| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let at = i64::try_from(bytes.len()).unwrap() * 1_000_003;
        let maybe = |text: &str| match text.is_empty() {
            true => Value::Union(0, Box::new(Value::Null)),
            false => Value::Union(1, Box::new(Value::String(text.to_owned()))),
        };
        let record = Value::Record(vec![
            ("CreatedDate".to_owned(), Value::Long(at)),
            ("CreatedById".to_owned(), Value::String(text.clone())),
            ("OrderId__c".to_owned(), maybe("801000000000001")),
            ("IdemKey__c".to_owned(), maybe(&text)),
            ("CorrelationId__c".to_owned(), maybe("")),
            ("RequestedBy__c".to_owned(), maybe(&text)),
            (
                "Version__c".to_owned(),
                Value::Union(1, Box::new(Value::Double(2.0))),
            ),
        ]);
        let payload = GenericDatumWriter::builder(&schema)
            .build()
            .unwrap()
            .write_value_to_vec(record)
            .unwrap();
        let decoded = request(&schema, &payload);
        if text.contains(char::is_control) || text.chars().count() > 80 {
            assert!(decoded.is_err(), "the store cannot hold it");
            return;
        }
        let (got, version) = decoded.unwrap();
        assert_eq!(got.order.as_str(), "801000000000001AAA");
        let key = got.idem_key.map(|key| key.as_str().to_owned());
        let expected = Some(text).filter(|text| !text.trim().is_empty());
        assert_eq!((key, got.requested_by), (expected.clone(), expected));
        assert_eq!((got.created_at.as_millis(), version), (at, 2.0));
    });
}
