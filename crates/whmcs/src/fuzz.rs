//! Fuzz targets: answers of WHMCS (`fuzz/README.md`).

use domain::order::OrderStatus;
use domain::ports::CallError;
use serde_json::{Map, Value, json};
use testkit::fuzz::Target;

use crate::answer::{Answer, Kind, classify_answer};
use crate::lists::parse_orders;
use crate::wire;

const DICTIONARY: &[&str] = &[
    r#"{"result":"success","#,
    r#"{"result":"error","message":"#,
    r#""orders":{"order":["#,
    r#""lineitems":{"lineitem":{"0":"#,
    r#""customfields":{"customfield":["#,
    r#""totalresults":"#,
    "Authentication Failed",
    "Invalid IP",
    "<b>Notice</b>: {",
    "\u{feff}",
    "18446744073709551616",
    "-1.00",
    "null",
    "]}",
];

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

#[test]
fn every_answer_has_a_class() {
    let target = Target {
        name: "whmcs_answer",
        dictionary: DICTIONARY,
    };
    target.hold(|bytes| match answered(bytes).1 {
        Ok(object) => read_everything(&object),
        Err(CallError::Refused(refusal)) => assert!(refusal.detail.chars().count() <= 1000),
        Err(CallError::Denied { detail, .. }) => assert!(detail.chars().count() <= 600),
        Err(CallError::NotSent { source, .. } | CallError::Unknown { source }) => {
            assert!(source.to_string().len() < 200);
        }
    });
}

#[test]
fn effect_with_garbage_answer_is_never_not_sent() {
    let target = Target {
        name: "whmcs_answer",
        dictionary: DICTIONARY,
    };
    target.hold(|bytes| {
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
    });
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

#[test]
fn orders_round_trip_in_every_encoding() {
    let target = Target {
        name: "whmcs_answer",
        dictionary: &[],
    };
    target.hold(|bytes| {
        let (id, notes) = (bytes.len() as u64 + 1, String::from_utf8_lossy(bytes));
        let line = json!({"type": "product", "relid": id, "billingcycle": "Monthly", "status": "Pending"});
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
            assert_eq!((seen.id.0, seen.client.0, seen.notes.as_str()), (id, id, &*notes));
            assert_eq!((seen.status, seen.lines.len()), (OrderStatus::Active, 1));
            assert_eq!(seen.lines[0].service.0, id);
        }
    });
}
