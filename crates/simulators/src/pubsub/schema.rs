//! Event schemas, their ids, and the payload's bytes.
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Fields;

/// Type of an event field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Text: an Avro string.
    Text,
    /// Number: an Avro double.
    Number,
    /// Checkbox: an Avro boolean.
    Checkbox,
}

/// A custom field of the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventField {
    /// API name, with `__c`.
    pub name: String,
    /// Its type.
    pub kind: EventKind,
}

impl EventField {
    /// Creates a field.
    pub fn new(name: &str, kind: EventKind) -> Self {
        Self {
            name: name.to_owned(),
            kind,
        }
    }

    /// The fields of `OrderProvisionRequested__e`.
    pub fn contract() -> Vec<Self> {
        vec![
            Self::new("OrderId__c", EventKind::Text),
            Self::new("IdemKey__c", EventKind::Text),
            Self::new("CorrelationId__c", EventKind::Text),
            Self::new("RequestedBy__c", EventKind::Text),
            Self::new("Version__c", EventKind::Number),
        ]
    }
}

/// One version of the event's schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSchema {
    /// `base64url(MD5(canonical form))`, 22 characters.
    pub id: String,
    /// Avro JSON as GetSchema answers it.
    pub json: String,
    /// Its custom fields.
    pub fields: Vec<EventField>,
}

impl EventSchema {
    /// The schema of an event with these custom fields.
    pub fn new(event: &str, fields: &[EventField]) -> Self {
        let mut all = vec![
            json!({"name": "CreatedDate", "type": "long", "doc": "CreatedDate:DateTime"}),
            json!({"name": "CreatedById", "type": "string", "doc": "CreatedBy:EntityId"}),
        ];
        for (at, field) in fields.iter().enumerate() {
            let (avro, doc) = match field.kind {
                EventKind::Text => ("string", "Text"),
                EventKind::Number => ("double", "Double"),
                EventKind::Checkbox => ("boolean", "Checkbox"),
            };
            all.push(json!({
                "name": field.name, "type": ["null", avro], "default": null,
                "doc": format!("Data:{doc}:00N{:012}", at + 1),
            }));
        }
        let json = json!({
            "type": "record", "name": event, "namespace": "com.sforce.eventbus", "fields": all,
        })
        .to_string();
        let id = schema_id(&json).unwrap_or_default();
        Self {
            id,
            json,
            fields: fields.to_vec(),
        }
    }
}

/// The id that the service assigns to this Avro JSON; `None` if it is not a valid schema.
pub(crate) fn schema_id(json: &str) -> Option<String> {
    let schema = apache_avro::Schema::parse_str(json).ok()?;
    let digest = Md5::digest(schema.canonical_form().as_bytes());
    Some(URL_SAFE_NO_PAD.encode(digest))
}

/// The bare Avro datum of an event; missing fields are null.
pub fn encode(schema: &EventSchema, created_ms: i64, created_by: &str, values: &Fields) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    long(&mut out, created_ms);
    string(&mut out, created_by);
    for field in &schema.fields {
        let value = values.get(&field.name).unwrap_or(&Value::Null);
        match (field.kind, value) {
            (EventKind::Text, Value::String(text)) => {
                long(&mut out, 1);
                string(&mut out, text);
            }
            (EventKind::Text, Value::Number(number)) => {
                long(&mut out, 1);
                string(&mut out, &number.to_string());
            }
            (EventKind::Number, Value::Number(number)) => {
                long(&mut out, 1);
                out.extend(number.as_f64().unwrap_or_default().to_le_bytes());
            }
            (EventKind::Checkbox, Value::Bool(flag)) => {
                long(&mut out, 1);
                out.push(u8::from(*flag));
            }
            _ => long(&mut out, 0),
        }
    }
    out
}

fn long(out: &mut Vec<u8>, value: i64) {
    let mut left = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while left >= 0x80 {
        out.push((left & 0x7f) as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}

fn string(out: &mut Vec<u8>, text: &str) {
    long(out, i64::try_from(text.len()).unwrap_or(i64::MAX));
    out.extend(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_ids_match_live_examples() {
        let text = |name| EventField::new(name, EventKind::Text);
        let amount = EventField::new("Amount__c", EventKind::Number);
        for (event, fields, id) in [
            (
                "Order_Event__e",
                vec![text("Order_Number__c"), text("City__c"), amount],
                "_CADE3qaegX3ECEW0rlbYA",
            ),
            (
                "Test_Event__e",
                vec![text("Message__c")],
                "6L0yfG1TjHj3IeYaje5uZQ",
            ),
            (
                "CM_Test_Event_Two__e",
                vec![text("Message__c")],
                "K98aAtiNFBjA-PJlcvaQ2g",
            ),
            (
                "OrderProvisionRequested__e",
                EventField::contract(),
                "Jz2IXccKYaA3NmZLbRDumA",
            ),
        ] {
            assert_eq!(EventSchema::new(event, &fields).id, id, "{event}");
        }
    }

    #[test]
    fn event_encodes_to_known_64_byte_vector() {
        let schema = EventSchema::new("OrderProvisionRequested__e", &EventField::contract());
        let values = json!({
            "OrderId__c": "801000000000001AAA", "IdemKey__c": "k1",
            "RequestedBy__c": "ada", "Version__c": 1.0,
        });
        let bytes = encode(
            &schema,
            1_767_225_600_000,
            "005000000000001AAA",
            values.as_object().unwrap(),
        );
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            concat!(
                "80a0d5edee66",
                "24303035303030303030303030303031414141",
                "0224383031303030303030303030303031414141",
                "02046b31",
                "00",
                "0206616461",
                "02000000000000f03f"
            )
        );
        assert_eq!(bytes.len(), 64);
        let avro = apache_avro::Schema::parse_str(&schema.json).unwrap();
        let mut rest = bytes.as_slice();
        let reader = apache_avro::reader::datum::GenericDatumReader::builder(&avro)
            .build()
            .unwrap();
        reader.read_value(&mut rest).unwrap();
        assert!(rest.is_empty());
    }
}
