//! Properties of the decoder of WHMCS's answers, and of PHP's serialisation (`fuzz/README.md`).
#![expect(clippy::unwrap_used, reason = "a property that does not hold panics")]

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::order::OrderStatus;
use domain::ports::CallError;
use serde_json::{Map, Value, json};

use crate::answer::{Answer, Kind, classify_answer};
use crate::lists::parse_orders;
use crate::{php, wire};

/// Every answer has a class, an effect that may have happened is never "not sent", and orders
/// are read in every encoding.
///
/// # Panics
/// The property does not hold.
pub fn answer(bytes: &[u8]) {
    match answered(bytes).1 {
        Ok(object) => read_everything(&object),
        Err(CallError::Refused(refusal)) => assert!(refusal.detail.chars().count() <= 1000),
        Err(CallError::Denied { detail, .. }) => assert!(detail.chars().count() <= 600),
        Err(CallError::NotSent { source, .. } | CallError::Unknown { source }) => {
            assert!(source.to_string().len() < 200);
        }
    }
    garbage_after_an_effect(bytes);
    orders_round_trip(bytes);
}

/// The first byte selects the kind of call and the HTTP status.
fn answered(bytes: &[u8]) -> (Kind, Result<Map<String, Value>, CallError>) {
    let (first, body) = bytes.split_first().unwrap_or((&0, &[]));
    let kind = [Kind::Read, Kind::Effect, Kind::Module][usize::from(first % 3)];
    let status = [200, 200, 403, 404, 429, 500, 503][usize::from(first / 3 % 7)];
    let answer = Answer {
        status,
        retry_after: None,
        blocked: first / 21 % 5 == 0,
        body,
    };
    (kind, classify_answer(kind, &answer))
}

fn garbage_after_an_effect(bytes: &[u8]) {
    let answer = Answer {
        status: 200,
        retry_after: None,
        blocked: false,
        body: bytes,
    };
    let garbage = !String::from_utf8_lossy(bytes).contains("result");
    if let (true, Err(CallError::NotSent { .. })) =
        (garbage, classify_answer(Kind::Effect, &answer))
    {
        panic!("an effect that may have taken effect would be repeated");
    }
}

fn read_everything(object: &Map<String, Value>) {
    let _ = wire::count(object.get("totalresults"));
    for (outer, inner) in [
        ("orders", "order"),
        ("products", "product"),
        ("clients", "client"),
    ] {
        let rows: Vec<_> = wire::list(object, outer, inner)
            .unwrap_or_default()
            .into_iter()
            .cloned()
            .collect();
        // An unreadable order is an error, never missing from the list.
        if let Ok(orders) = parse_orders(&rows) {
            assert_eq!(orders.len(), rows.len());
        }
        for row in &rows {
            let _ = wire::service(row);
        }
    }
}

fn orders_round_trip(bytes: &[u8]) {
    let (id, notes) = (bytes.len() as u64 + 1, String::from_utf8_lossy(bytes));
    let line =
        json!({"type": "product", "relid": id, "billingcycle": "Monthly", "status": "Pending"});
    for (number, lines) in [
        (json!(id), json!({"lineitem": [line]})),
        (json!(id.to_string()), json!({"lineitem": line})),
        (json!(id), json!({"lineitem": {"0": line}})),
    ] {
        let order = json!({
            "id": number, "userid": number, "status": "Active", "notes": notes, "lineitems": lines,
        });
        let body = json!({"result": "success", "orders": {"order": [order]}}).to_string();
        let answer = Answer {
            status: 200,
            retry_after: None,
            blocked: false,
            body: body.as_bytes(),
        };
        let object = classify_answer(Kind::Read, &answer).unwrap();
        let rows = wire::list(&object, "orders", "order").unwrap();
        let seen = wire::order(rows[0]).unwrap();
        assert_eq!(
            (seen.id.0, seen.client.0, seen.notes.as_str()),
            (id, id, &*notes)
        );
        assert_eq!((seen.status, seen.lines.len()), (OrderStatus::Active, 1));
        assert_eq!(seen.lines[0].service.0, id);
    }
}

/// A serialised map holds the text with its length in bytes: the text cannot end its quotes.
/// Returns the encoded map of the id 7.
///
/// # Panics
/// The property does not hold.
#[must_use]
pub fn serialised_map(text: &str) -> String {
    let encoded = php::encoded_map([(7, text)]);
    let decoded = String::from_utf8(STANDARD.decode(&encoded).unwrap()).unwrap();
    let expected = format!("a:1:{{i:7;s:{}:\"{text}\";}}", text.len());
    assert_eq!(decoded, expected);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::corpus::hold;

    #[test]
    fn properties_of_answers_hold() {
        hold("whmcs_answer", answer);
    }

    #[test]
    fn properties_of_serialised_maps_hold() {
        hold("php", |bytes| {
            let _ = serialised_map(&String::from_utf8_lossy(bytes));
        });
    }
}
