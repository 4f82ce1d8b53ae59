//! REST resources of the event.
use serde_json::{Value, json};

use super::{
    ids,
    org::Org,
    rest::{Answer, RestRequest},
    rules::Refusal,
};
use crate::pubsub::{EventKind, Fields};

fn check_event(org: &Org, name: &str) -> Result<(), Refusal> {
    if name.eq_ignore_ascii_case(&org.bus.options().event) {
        Ok(())
    } else {
        Err(Refusal::not_found())
    }
}

/// The real service queues events published over REST; here they are on the bus at once.
pub(crate) fn publish(
    org: &Org,
    name: &str,
    rest_request: &RestRequest<'_>,
) -> Result<Answer, Refusal> {
    check_event(org, name)?;
    let mut values = rest_request.object_body()?.clone();
    values.remove("attributes");
    check_values(org, name, &values)?;
    let published = org.publish(&values);
    Ok(Answer::json(
        201,
        json!({
            "id": ids::mint("e00", 1), "success": true,
            "errors": [{"statusCode": "OPERATION_ENQUEUED", "message": published.event_id, "fields": []}],
        }),
    ))
}

/// Unlike the Pub/Sub API, which takes any bytes, REST knows the event's fields.
fn check_values(org: &Org, name: &str, values: &Fields) -> Result<(), Refusal> {
    let schema = org.bus.schema();
    for (given, value) in values {
        let known = schema.fields.iter().find(|field| field.name == *given);
        let field = known.ok_or_else(|| {
            Refusal::bad(
                "INVALID_FIELD",
                format!("No such column '{given}' on sobject of type {name}"),
            )
        })?;
        let fits = match field.kind {
            EventKind::Text => value.is_string() || value.is_number(),
            EventKind::Number => value.is_number(),
            EventKind::Checkbox => value.is_boolean(),
        };
        if !fits && !value.is_null() {
            return Err(Refusal::bad(
                "JSON_PARSER_ERROR",
                format!("Cannot deserialize {value} for {given}"),
            )
            .on(given));
        }
    }
    Ok(())
}

pub(crate) fn event_schema(org: &Org, name: &str) -> Result<Answer, Refusal> {
    check_event(org, name)?;
    let schema = org.bus.schema();
    let mut body: Value = serde_json::from_str(&schema.json).unwrap_or_default();
    body["uuid"] = Value::from(schema.id);
    Ok(Answer::json(200, body))
}

pub(crate) fn describe_event(org: &Org, name: &str) -> Result<Answer, Refusal> {
    check_event(org, name)?;
    let schema = org.bus.schema();
    let fields: Vec<Value> = schema
        .fields
        .iter()
        .map(|field| json!({"name": field.name, "nillable": true, "custom": true}))
        .collect();
    Ok(Answer::json(
        200,
        json!({"name": name, "fields": fields, "custom": true}),
    ))
}
