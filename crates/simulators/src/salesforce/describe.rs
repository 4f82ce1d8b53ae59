//! What the org says of itself: resources, objects and their fields.
use serde_json::{Value, json};

use super::{
    org::Org,
    rest::{Answer, RestRequest},
    rules::Refusal,
    shape::{self, Object},
    transaction::Transaction,
};
use crate::lock;

/// The resources of a version.
pub(crate) fn resources(org: &Org, rest_request: &RestRequest<'_>) -> Answer {
    let mut all = json!({"identity": org.identity_url()});
    for name in [
        "composite",
        "limits",
        "query",
        "queryAll",
        "sobjects",
        "tooling",
    ] {
        all[name] = format!("/services/data/{}/{name}", rest_request.version).into();
    }
    Answer::json(200, all)
}

/// `/sobjects`.
pub(crate) fn global(org: &Org, rest_request: &RestRequest<'_>) -> Answer {
    let event = org.bus.options().event;
    let objects = shape::objects();
    let mut all: Vec<Value> = objects
        .iter()
        .map(|object| summary(object, rest_request.version))
        .collect();
    all.push(json!({
        "name": event, "label": event, "keyPrefix": "e00", "custom": true, "createable": true,
        "queryable": false, "updateable": false, "deletable": false, "retrieveable": false,
        "urls": {"sobject": format!("/services/data/{}/sobjects/{event}", rest_request.version)},
    }));
    Answer::json(
        200,
        json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": all}),
    )
}

/// An object in a list of objects.
pub(crate) fn summary(object: &Object, version: &str) -> Value {
    let path = format!("/services/data/{version}/sobjects/{}", object.name);
    let writable = object.fields.iter().any(|field| field.createable);
    json!({
        "name": object.name, "label": object.name, "labelPlural": object.name,
        "keyPrefix": object.prefix, "custom": false, "customSetting": false,
        "createable": writable, "updateable": writable, "deletable": writable,
        "undeletable": writable, "queryable": true, "retrieveable": true, "searchable": false,
        "replicateable": true, "mergeable": false, "triggerable": writable, "layoutable": writable,
        "activateable": false, "deprecatedAndHidden": false, "feedEnabled": false,
        "urls": {
            "sobject": path, "describe": format!("{path}/describe"),
            "rowTemplate": format!("{path}/{{ID}}"),
        },
    })
}

/// `/sobjects/X/describe`, with the edits of the org's administrator.
pub(crate) fn object(
    org: &Org,
    tx: &Transaction<'_>,
    object: &'static Object,
    rest_request: &RestRequest<'_>,
) -> Result<Answer, Refusal> {
    let has = |object: &str, field: &str| {
        shape::object(object).is_some_and(|object| tx.has(object, field))
    };
    let edits = lock(&org.description_edits);
    let edit = |name: &str| edits.get(name);
    if edit(object.name).is_some_and(Value::is_null) {
        return Err(Refusal::not_found());
    }
    let mut described = summary(object, rest_request.version);
    let details = object.describe(has);
    if let (Value::Object(all), Value::Object(details)) = (&mut described, details) {
        all.extend(details);
    }
    if let Some(fields) = described["fields"].as_array_mut() {
        fields.retain_mut(|field| {
            let name = field["name"].as_str().unwrap_or_default();
            match edit(&format!("{}.{name}", object.name)) {
                Some(Value::Null) => false,
                Some(Value::Object(edit)) => {
                    if let Value::Object(field) = field {
                        field.extend(edit.clone());
                    }
                    true
                }
                _ => true,
            }
        });
    }
    Ok(Answer::json(200, described))
}
