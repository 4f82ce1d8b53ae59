//! The built-in Flow: turns an approval or a retry into an attempt and an event.
use std::hash::{DefaultHasher, Hash, Hasher};

use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Map, Value};

use super::{records::Record, transaction::Transaction};
use crate::pubsub::Fields;

/// Runs before an Order is saved. Returns the fields to set and the event to publish after the
/// commit, if the change requests an attempt.
pub(crate) fn run(
    transaction: &mut Transaction<'_>,
    before: &Record,
    after: &Record,
) -> Option<(Map<String, Value>, Fields)> {
    let changed_to = |field: &str, value: &str| {
        after.text(field) == Some(value) && before.text(field) != Some(value)
    };
    if !changed_to("Status", "Approved") && !changed_to("Activation_Status__c", "Activating") {
        return None;
    }
    let id = after.id().to_owned();
    let attempt = {
        // Counted beside the record, so that attempts differ even in an org without the field.
        let count = transaction.records.attempts.entry(id.clone()).or_default();
        *count += 1;
        *count
    };
    let key = format!("{id}-{attempt}");
    let correlation = correlation_id(transaction.options().seed, &key);
    let all = [
        ("Activation_Status__c", Value::from("Activating")),
        ("Activation_Attempt__c", Value::from(attempt as f64)),
        ("Activation_IdemKey__c", Value::from(key.clone())),
        (
            "Activation_Correlation_Id__c",
            Value::from(correlation.clone()),
        ),
        (
            "Activation_Last_Attempt_At__c",
            Value::from(transaction.now_text()),
        ),
        ("Activation_Error_Code__c", Value::Null),
        ("Activation_Error_Message__c", Value::Null),
    ];
    let set = all
        .into_iter()
        .filter(|(field, _)| transaction.has_order_field(field))
        .map(|(field, value)| (field.to_owned(), value))
        .collect();
    let event = payload(&id, &key, &correlation, &transaction.options().operator);
    Some((set, event))
}

/// A UUID that depends only on seed and key.
fn correlation_id(seed: u64, key: &str) -> String {
    let mut hasher = DefaultHasher::new();
    (seed, key).hash(&mut hasher);
    let bytes: [u8; 16] = StdRng::seed_from_u64(hasher.finish()).random();
    uuid::Builder::from_random_bytes(bytes)
        .into_uuid()
        .to_string()
}

/// The event's custom fields.
pub(crate) fn payload(order: &str, key: &str, correlation: &str, operator: &str) -> Fields {
    [
        ("OrderId__c", Value::from(order)),
        ("IdemKey__c", Value::from(key)),
        ("CorrelationId__c", Value::from(correlation)),
        ("RequestedBy__c", Value::from(operator)),
        ("Version__c", Value::from(1.0)),
    ]
    .into_iter()
    .map(|(field, value)| (field.to_owned(), value))
    .collect()
}
