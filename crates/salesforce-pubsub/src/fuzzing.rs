//! Properties of the decoder of events (`fuzz/README.md`).
#![expect(clippy::unwrap_used, reason = "a property that does not hold panics")]

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;

use crate::decode::{parse_schema, request};

/// The schema of a Salesforce org.
pub(crate) const SCHEMA: &str = r#"{"type":"record","name":"OrderProvisionRequested__e","namespace":"com.sforce.eventbus","fields":[
 {"name":"CreatedDate","type":"long","doc":"CreatedDate:DateTime"},
 {"name":"CreatedById","type":"string","doc":"CreatedBy:EntityId"},
 {"name":"OrderId__c","type":["null","string"],"doc":"Data:Text:00N000000000001","default":null},
 {"name":"IdemKey__c","type":["null","string"],"doc":"Data:Text:00N000000000002","default":null},
 {"name":"CorrelationId__c","type":["null","string"],"doc":"Data:Text:00N000000000003","default":null},
 {"name":"RequestedBy__c","type":["null","string"],"doc":"Data:Text:00N000000000004","default":null},
 {"name":"Version__c","type":["null","double"],"doc":"Data:Double:00N000000000005","default":null}]}"#;

/// Decoding a payload never panics; what is wrong with it is said shortly and without it.
///
/// # Panics
/// The property does not hold.
pub fn payload(bytes: &[u8]) {
    let schema = parse_schema(SCHEMA).unwrap();
    match request(&schema, bytes) {
        Ok((request, _)) => assert_eq!(request.order.as_str().len(), 18),
        Err(error) => assert!(error.detail.len() < 300, "{}", error.detail),
    }
    event_round_trip(bytes);
}

/// A schema, and a payload after the first line: decoding neither panics nor loops.
pub fn schema_and_payload(bytes: &[u8]) {
    let (json, payload) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[][..]),
    };
    if let Ok(schema) = parse_schema(&String::from_utf8_lossy(json)) {
        let _ = request(&schema, payload);
        let _ = request(&schema, &[0; 256]);
        let _ = request(&schema, &[0xff; 256]);
    }
}

fn event_round_trip(bytes: &[u8]) {
    let schema = parse_schema(SCHEMA).unwrap();
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::corpus::hold;

    #[test]
    fn properties_of_payloads_hold() {
        hold("avro_payload", payload);
    }

    #[test]
    fn properties_of_schemas_hold() {
        hold("avro_schema", schema_and_payload);
    }
}
