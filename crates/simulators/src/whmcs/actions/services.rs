//! Services and their modules.
use serde_json::{Value, json};

use super::{
    super::{
        install::{Context, Install},
        modules::{self, Created},
        options::{RuntimeOptions, Version},
        php::{Php, cast, unserialize_base64},
        tables::{MODULE_NAME, QueueEntry, Service, Tables},
        wire::{Outcome, entities, fields, money},
    },
    page,
};
use crate::lock;

pub(super) fn list(install: &Install, context: &Context, params: &Php) -> Outcome {
    let runtime = &context.runtime;
    let tables = lock(&install.tables);
    let wanted = |service: &&Service| {
        params
            .number("clientid")
            .is_none_or(|id| service.clientid == id)
            && params.number("serviceid").is_none_or(|id| service.id == id)
            && params.number("pid").is_none_or(|id| service.pid == id)
            && params
                .text("domain")
                .is_none_or(|domain| service.domain == domain)
            && params.text("username2").is_none_or(|name| {
                let own = service.changed.get("username");
                own.map_or(USERNAME, String::as_str) == name
            })
    };
    let rows: Vec<&Service> = tables.services.values().filter(wanted).collect();
    let (total, start, rows) = page(params, rows);
    let shown: Vec<Value> = rows
        .iter()
        .map(|service| show(&tables, runtime, service))
        .collect();
    Ok(fields(json!({
        "clientid": params.text("clientid"), "serviceid": params.text("serviceid"),
        "pid": params.text("pid"), "domain": params.text("domain"),
        "totalresults": runtime.id(total as u64), "startnumber": runtime.id(start as u64),
        "numreturned": runtime.id(shown.len() as u64), "products": runtime.list("product", shown),
    })))
}

/// User name of a service that nobody changed.
const USERNAME: &str = "simulated";

/// Parameters of UpdateClientProduct that are kept as they are, and their names in answers.
const KEPT: &[(&str, &str)] = &[
    ("serverid", "serverid"),
    ("regdate", "regdate"),
    ("nextduedate", "nextduedate"),
    ("terminationdate", "terminationdate"),
    ("firstpaymentamount", "firstpaymentamount"),
    ("recurringamount", "recurringamount"),
    ("paymentmethod", "paymentmethod"),
    ("subscriptionid", "subscriptionid"),
    ("serviceusername", "username"),
    ("servicepassword", "password"),
    ("overideautosuspend", "overideautosuspend"),
    ("overidesuspenduntil", "overidesuspenduntil"),
    ("ns1", "ns1"),
    ("ns2", "ns2"),
    ("dedicatedip", "dedicatedip"),
    ("assignedips", "assignedips"),
    ("suspendreason", "suspensionreason"),
    ("promoid", "promoid"),
];

fn show(tables: &Tables, runtime: &RuntimeOptions, service: &Service) -> Value {
    let product = tables.products.get(&service.pid);
    let order = tables.orders.get(&service.orderid);
    let custom: Vec<Value> = product
        .into_iter()
        .flat_map(|product| &product.custom_fields)
        .map(|(id, name)| {
            let value = service.custom_fields.get(id).cloned().unwrap_or_default();
            json!({"id": runtime.id(*id), "name": name, "translated_name": name, "value": value})
        })
        .collect();
    let name = product
        .map(|product| entities(&product.name))
        .unwrap_or_default();
    let mut shown = json!({
        "id": runtime.id(service.id), "qty": runtime.id(service.qty),
        "clientid": runtime.id(service.clientid), "orderid": runtime.id(service.orderid),
        "ordernumber": order.map(|order| runtime.id(order.ordernum)), "pid": runtime.id(service.pid),
        "regdate": service.regdate, "name": name, "translated_name": name,
        "groupname": "Simulated", "translated_groupname": "Simulated", "domain": service.domain, "dedicatedip": "", "serverid": runtime.id(0),
    "firstpaymentamount": money(service.amount),
        "recurringamount": money(service.amount),
        "paymentmethod": order.map(|order| order.paymentmethod.clone()).unwrap_or_default(),
        "billingcycle": service.billingcycle, "nextduedate": service.regdate,
        "status": service.status, "username": USERNAME, "password": "simulated-password",
        "subscriptionid": "", "promoid": runtime.id(0), "notes": service.notes,
        "customfields": runtime.list("customfield", custom),
        "configoptions": runtime.list("configoption", Vec::new()),
    });
    for name in [
        "servername",
        "serverip",
        "serverhostname",
        "ns1",
        "ns2",
        "assignedips",
        "suspensionreason",
    ] {
        shown[name] = "".into();
    }
    for name in [
        "overideautosuspend",
        "promocount",
        "diskusage",
        "disklimit",
        "bwusage",
        "bwlimit",
    ] {
        shown[name] = runtime.id(0);
    }
    for name in ["terminationdate", "completeddate", "overidesuspenduntil"] {
        shown[name] = "0000-00-00".into();
    }
    shown["lastupdate"] = "0000-00-00 00:00:00".into();
    shown["paymentmethodname"] = shown["paymentmethod"].clone();
    for (name, value) in &service.changed {
        shown[name] = match name.as_str() {
            "serverid" | "promoid" => runtime.id(cast(value).unwrap_or(0)),
            _ => value.as_str().into(),
        };
    }
    shown
}

pub(super) fn update(install: &Install, context: &Context, params: &Php) -> Outcome {
    let mut tables = lock(&install.tables);
    let id = params.number("serviceid").ok_or("Service ID is required")?;
    let product = params.number("pid");
    if product.is_some_and(|pid| !tables.products.contains_key(&pid)) {
        return Err("Product ID Not Found".to_owned());
    }
    let service = tables.services.get_mut(&id).ok_or("Service ID Not Found")?;
    service.pid = product.unwrap_or(service.pid);
    for (parameter, name) in KEPT {
        if let Some(text) = params.text(parameter) {
            service.changed.insert((*name).to_owned(), text.to_owned());
        }
    }
    let unset = params.get("unset").map_or(&[][..], Php::items);
    for (_, cleared) in unset {
        let Php::Text(cleared) = cleared else {
            continue;
        };
        match cleared.as_str() {
            "domain" => service.domain.clear(),
            "notes" => service.notes.clear(),
            other => {
                if let Some((_, name)) = KEPT.iter().find(|(parameter, _)| *parameter == other) {
                    service.changed.insert((*name).to_owned(), String::new());
                }
            }
        }
    }
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
    Ok(fields(json!({"serviceid": context.runtime.id(id)})))
}

/// ModuleCreate: runs the module whatever the service's state.
pub(super) async fn create(install: &Install, context: &Context, params: &Php) -> Outcome {
    let id = params
        .number("serviceid")
        .or_else(|| params.number("accountid"))
        .ok_or("Service ID is required")?;
    if !lock(&install.tables).services.contains_key(&id) {
        return Err("Service ID not found".to_owned());
    }
    match modules::create(install, context, id, true).await {
        Created::Done => Ok(fields(json!({}))),
        Created::NoModule if context.runtime.version >= Version::V9_0 => {
            Err("Service not assigned to a module.".to_owned())
        }
        Created::NoModule => Err("Service not assigned to a module".to_owned()),
        Created::Failed(text) => Err(text),
        Created::Died => Err(modules::DIED.to_owned()),
    }
}

fn module_of(tables: &Tables, service: u64) -> &str {
    let row = tables.services.get(&service);
    let product = row.and_then(|row| tables.products.get(&row.pid));
    product.map_or(MODULE_NAME, |product| &product.module.name)
}

pub(super) fn queue(install: &Install, context: &Context, params: &Php) -> Outcome {
    let runtime = &context.runtime;
    let tables = lock(&install.tables);
    let wanted = |entry: &&QueueEntry| {
        !entry.completed
            && params
                .number("relatedId")
                .is_none_or(|id| entry.service == id)
    };
    let shown: Vec<Value> = tables
        .queue
        .iter()
        .filter(wanted)
        .map(|entry| {
            json!({
                "id": runtime.id(entry.id), "serviceType": "service",
                "serviceId": runtime.id(entry.service), "moduleName": module_of(&tables, entry.service),
                "moduleAction": "CreateAccount", "lastAttempt": entry.at,
                "lastAttemptError": entry.error, "numRetries": runtime.id(entry.retries),
                "completed": runtime.id(0), "createdAt": entry.at, "updatedAt": entry.at,
            })
        })
        .collect();
    Ok(fields(
        json!({"count": runtime.id(shown.len() as u64), "queue": shown}),
    ))
}
