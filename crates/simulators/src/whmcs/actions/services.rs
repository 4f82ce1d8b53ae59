//! Services and their modules.
use serde_json::{Value, json};

use super::{
    super::{
        books::{Books, MODULE_NAME, QueueEntry, Service},
        install::{Context, Install},
        modules::{self, Created},
        options::{Knobs, Version},
        php::{Php, unserialize_base64},
        wire::{Outcome, fields, money},
    },
    page,
};
use crate::lock;

pub(super) fn list(install: &Install, context: &Context, params: &Php) -> Outcome {
    let knobs = &context.knobs;
    let books = lock(&install.books);
    let wanted = |service: &&Service| {
        params
            .number("clientid")
            .is_none_or(|id| service.clientid == id)
            && params.number("serviceid").is_none_or(|id| service.id == id)
            && params.number("pid").is_none_or(|id| service.pid == id)
            && params
                .text("domain")
                .is_none_or(|domain| service.domain == domain)
    };
    let rows: Vec<&Service> = books.services.values().filter(wanted).collect();
    let (total, start, rows) = page(params, rows);
    let shown: Vec<Value> = rows
        .iter()
        .map(|service| show(&books, knobs, service))
        .collect();
    Ok(fields(json!({
        "clientid": params.text("clientid"), "serviceid": params.text("serviceid"),
        "pid": params.text("pid"), "domain": params.text("domain"),
        "totalresults": knobs.id(total as u64), "startnumber": knobs.id(start as u64),
        "numreturned": knobs.id(shown.len() as u64), "products": knobs.list("product", shown),
    })))
}

fn show(books: &Books, knobs: &Knobs, service: &Service) -> Value {
    let product = books.products.get(&service.pid);
    let order = books.orders.get(&service.orderid);
    let custom: Vec<Value> = product
        .into_iter()
        .flat_map(|product| &product.custom_fields)
        .map(|(id, name)| {
            let value = service.custom_fields.get(id).cloned().unwrap_or_default();
            json!({"id": knobs.id(*id), "name": name, "translated_name": name, "value": value})
        })
        .collect();
    let name = product
        .map(|product| product.name.clone())
        .unwrap_or_default();
    json!({
        "id": knobs.id(service.id), "qty": knobs.id(service.qty),
        "clientid": knobs.id(service.clientid), "orderid": knobs.id(service.orderid),
        "ordernumber": order.map(|order| knobs.id(order.ordernum)), "pid": knobs.id(service.pid),
        "regdate": service.regdate, "name": name, "translated_name": name,
        "groupname": "Simulated", "domain": service.domain, "dedicatedip": "", "serverid": knobs.id(0),
        "servername": "", "suspensionreason": "", "firstpaymentamount": money(service.amount),
        "recurringamount": money(service.amount),
        "paymentmethod": order.map(|order| order.paymentmethod.clone()).unwrap_or_default(),
        "billingcycle": service.billingcycle, "nextduedate": service.regdate,
        "status": service.status, "username": "simulated", "password": "simulated-password",
        "subscriptionid": "", "promoid": knobs.id(0), "notes": service.notes,
        "customfields": knobs.list("customfield", custom),
        "configoptions": knobs.list("configoption", Vec::new()),
    })
}

pub(super) fn update(install: &Install, context: &Context, params: &Php) -> Outcome {
    let mut books = lock(&install.books);
    let id = params.number("serviceid").ok_or("Service ID is required")?;
    let service = books.services.get_mut(&id).ok_or("Service ID Not Found")?;
    for (key, place) in [
        ("status", &mut service.status),
        ("domain", &mut service.domain),
        ("notes", &mut service.notes),
        ("billingcycle", &mut service.billingcycle),
    ] {
        if let Some(text) = params.text(key) {
            text.clone_into(place);
        }
    }
    if let Some(values) = params.text("customfields").and_then(unserialize_base64) {
        for (key, value) in values.items() {
            if let (Ok(field), Php::Text(text)) = (key.parse(), value) {
                service.custom_fields.insert(field, text.clone());
            }
        }
    }
    Ok(fields(json!({"serviceid": context.knobs.id(id)})))
}

/// ModuleCreate: runs the module whatever the service's state.
pub(super) async fn create(install: &Install, context: &Context, params: &Php) -> Outcome {
    let id = params
        .number("serviceid")
        .or_else(|| params.number("accountid"))
        .ok_or("Service ID is required")?;
    if !lock(&install.books).services.contains_key(&id) {
        return Err("Service ID not found".to_owned());
    }
    match modules::create(install, context, id, true).await {
        Created::Done => Ok(fields(json!({}))),
        Created::NoModule if context.knobs.version >= Version::V9_0 => {
            Err("Service not assigned to a module.".to_owned())
        }
        Created::NoModule => Err("Service not assigned to a module".to_owned()),
        Created::Failed(text) => Err(text),
        Created::Died => Err(modules::DIED.to_owned()),
    }
}

fn module_of(books: &Books, service: u64) -> &str {
    let row = books.services.get(&service);
    let product = row.and_then(|row| books.products.get(&row.pid));
    product.map_or(MODULE_NAME, |product| &product.module.name)
}

pub(super) fn queue(install: &Install, context: &Context, params: &Php) -> Outcome {
    let knobs = &context.knobs;
    let books = lock(&install.books);
    let wanted = |entry: &&QueueEntry| {
        !entry.completed
            && params
                .number("relatedId")
                .is_none_or(|id| entry.service == id)
    };
    let shown: Vec<Value> = books
        .queue
        .iter()
        .filter(wanted)
        .map(|entry| {
            json!({
                "id": knobs.id(entry.id), "serviceType": "service",
                "serviceId": knobs.id(entry.service), "moduleName": module_of(&books, entry.service),
                "moduleAction": "CreateAccount", "lastAttempt": entry.at,
                "lastAttemptError": entry.error, "numRetries": knobs.id(entry.retries),
                "completed": knobs.id(0), "createdAt": entry.at, "updatedAt": entry.at,
            })
        })
        .collect();
    Ok(fields(
        json!({"count": knobs.id(shown.len() as u64), "queue": shown}),
    ))
}
