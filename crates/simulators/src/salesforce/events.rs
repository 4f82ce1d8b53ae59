//! REST resources of the event.
use serde_json::{Value, json};

use super::{
    ids,
    org::Org,
    rest::{Answer, RestRequest},
    rules::Refusal,
};

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
    let published = org.publish(rest_request.object_body()?);
    Ok(Answer::json(
        201,
        json!({
            "id": ids::mint("e00", 1), "success": true,
            "errors": [{"statusCode": "OPERATION_ENQUEUED", "message": published.event_id, "fields": []}],
        }),
    ))
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
