//! Tolerant parsing of answers: ids as numbers or strings, lists in every PHP encoding.

use domain::key::{ClientId, LineMarker, ProductId, ServiceId, WhmcsOrderId};
use domain::order::{OrderStatus, ServiceStatus, WhmcsOrder, WhmcsService};
use serde_json::{Map, Value};

/// An id, as number or string; `None` for zero and anything else.
pub(crate) fn id(value: Option<&Value>) -> Option<u64> {
    count(value).filter(|number| *number > 0)
}

/// A count, as number or string.
pub(crate) fn count(value: Option<&Value>) -> Option<u64> {
    match value? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(crate) fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// The elements of `object[outer][inner]`. Empty lists come as `""`, `[]`, `{}`, `null` or
/// `{"inner": []}`; a single element may come without a list; a list with gaps is an object with
/// numeric keys. `None` when the key is missing.
pub(crate) fn list<'a>(
    object: &'a Map<String, Value>,
    outer: &str,
    inner: &str,
) -> Option<Vec<&'a Map<String, Value>>> {
    let value = object.get(outer)?;
    Some(match value {
        Value::Object(wrapper) => match wrapper.get(inner) {
            Some(inner) => elements(inner),
            None => elements(value),
        },
        other => elements(other),
    })
}

fn elements(value: &Value) -> Vec<&Map<String, Value>> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_object).collect(),
        Value::Object(map) if map.is_empty() => Vec::new(),
        Value::Object(map)
            if map
                .keys()
                .all(|key| key.bytes().all(|b| b.is_ascii_digit())) =>
        {
            map.values().filter_map(Value::as_object).collect()
        }
        Value::Object(map) => vec![map],
        _ => Vec::new(),
    }
}

/// An order of GetOrders with its line items; [`service`] adds details where they can be read.
pub(crate) fn order(object: &Map<String, Value>) -> Option<WhmcsOrder> {
    let lines = list(object, "lineitems", "lineitem").unwrap_or_default();
    Some(WhmcsOrder {
        id: WhmcsOrderId(id(object.get("id"))?),
        client: ClientId(id(object.get("userid"))?),
        status: match text(object.get("status")).to_ascii_lowercase().as_str() {
            "pending" => OrderStatus::Pending,
            "active" => OrderStatus::Active,
            "cancelled" => OrderStatus::Cancelled,
            "fraud" => OrderStatus::Fraud,
            _ => OrderStatus::Other(text(object.get("status")).to_owned()),
        },
        notes: text(object.get("notes")).to_owned(),
        lines: lines.into_iter().filter_map(line_item).collect(),
    })
}

fn line_item(object: &Map<String, Value>) -> Option<WhmcsService> {
    let kind = text(object.get("type")).to_ascii_lowercase();
    if !matches!(kind.as_str(), "" | "product" | "service" | "hosting") {
        return None;
    }
    Some(WhmcsService {
        service: ServiceId(id(object.get("relid"))?),
        product: None,
        cycle: text(object.get("billingcycle")).parse().ok(),
        status: service_status(text(object.get("status"))),
        marker: None,
    })
}

/// A service of GetClientsProducts, with the order it belongs to.
pub(crate) fn service(object: &Map<String, Value>) -> Option<(WhmcsOrderId, WhmcsService)> {
    let fields = list(object, "customfields", "customfield").unwrap_or_default();
    let marker = fields
        .into_iter()
        .find_map(|field| LineMarker::parse(text(field.get("value"))));
    let line = WhmcsService {
        service: ServiceId(id(object.get("id"))?),
        product: id(object.get("pid")).map(ProductId),
        cycle: text(object.get("billingcycle")).parse().ok(),
        status: service_status(text(object.get("status"))),
        marker,
    };
    Some((WhmcsOrderId(id(object.get("orderid"))?), line))
}

fn service_status(text: &str) -> ServiceStatus {
    match text.to_ascii_lowercase().as_str() {
        "pending" => ServiceStatus::Pending,
        // A one-time service that was delivered.
        "active" | "completed" => ServiceStatus::Active,
        _ => ServiceStatus::Other(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_parse_in_every_encoding() {
        for (value, n) in [
            (json!({"o": ""}), 0),
            (json!({"o": []}), 0),
            (json!({"o": {}}), 0),
            (json!({"o": null}), 0),
            (json!({"o": {"i": []}}), 0),
            (json!({"o": {"i": ""}}), 0),
            (json!({"o": {"i": [{"id": 1}, {"id": 2}]}}), 2),
            (json!({"o": {"i": {"id": 1}}}), 1),
            (json!({"o": {"i": {"0": {"id": 1}, "2": {"id": 2}}}}), 2),
            (json!({"o": [{"id": 1}]}), 1),
        ] {
            let found = list(value.as_object().unwrap(), "o", "i");
            assert_eq!(found.map(|items| items.len()), Some(n), "{value}");
        }
        assert!(list(json!({}).as_object().unwrap(), "o", "i").is_none());
    }

    #[test]
    fn ids_are_numbers_or_strings() {
        assert_eq!(id(Some(&json!(7))), Some(7));
        assert_eq!(id(Some(&json!("7"))), Some(7));
        for nothing in [json!(0), json!("0"), json!(""), json!(null), json!("x")] {
            assert_eq!(id(Some(&nothing)), None, "{nothing}");
        }
    }
}
