//! AddOrder and other order actions, without deduplication.
use std::collections::BTreeMap;

use rand::Rng;
use serde_json::json;

use super::super::{
    install::{Context, Install},
    modules::{self, Created},
    options::Version,
    php::{Php, cast, unserialize_base64},
    tables::{Invoice, Mail, Order, Product, Service, Tables},
    wire::{Outcome, cycle_name, fields},
};
use crate::lock;

const CYCLES: &[&str] = &[
    "monthly",
    "quarterly",
    "semiannually",
    "annually",
    "biennially",
    "triennially",
];

struct Line {
    key: String,
    product: Product,
}

/// The lines of an order, in the order in which their keys were sent.
fn lines(tables: &Tables, version: Version, params: &Php) -> Result<Vec<Line>, String> {
    let items = match params.get("pid") {
        None => Vec::new(),
        Some(Php::Array(items)) => items
            .iter()
            .filter_map(|(key, value)| match value {
                Php::Text(text) => Some((key.clone(), cast(text)?)),
                Php::Array(_) => None,
            })
            .collect(),
        Some(Php::Text(_)) if version > Version::V8_5 => {
            return Err("Expecting parameter 'pid' to be an array".to_owned());
        }
        Some(Php::Text(text)) => vec![("0".to_owned(), cast(text).unwrap_or(0))],
    };
    Ok(items
        .into_iter()
        .filter_map(|(key, pid)| {
            let product = tables.products.get(&pid)?.clone();
            Some(Line { key, product })
        })
        .collect())
}

/// The value of a column for a line.
fn column<'a>(params: &'a Php, name: &str, key: &str) -> Option<&'a str> {
    params.get(name)?.text(key)
}

fn cycle_of(product: &Product, requested: Option<&str>) -> &'static str {
    match product.paytype.as_str() {
        "free" => return cycle_name("free"),
        "onetime" => return cycle_name("onetime"),
        _ => {}
    }
    let requested = requested.map(|text| text.to_ascii_lowercase().replace(['-', ' '], ""));
    let usable = requested.filter(|cycle| product.prices.contains_key(cycle));
    match usable {
        Some(cycle) => cycle_name(&cycle),
        // A missing or invalid cycle is silently replaced.
        None => CYCLES
            .iter()
            .find(|cycle| product.prices.contains_key(**cycle))
            .map_or("Monthly", |cycle| cycle_name(cycle)),
    }
}

fn price_of(product: &Product, cycle: &str) -> f64 {
    let wanted = product
        .prices
        .iter()
        .find(|(name, _)| cycle_name(name) == cycle);
    match (product.paytype.as_str(), wanted) {
        ("free", _) => 0.0,
        (_, Some((_, price))) => *price,
        _ => product.prices.get("monthly").copied().unwrap_or(0.0),
    }
}

fn custom_fields(params: &Php, line: &Line) -> BTreeMap<u64, String> {
    let Some(values) = column(params, "customfields", &line.key).and_then(unserialize_base64)
    else {
        return BTreeMap::new();
    };
    let known = |id: &u64| line.product.custom_fields.iter().any(|(own, _)| own == id);
    values
        .items()
        .iter()
        .filter_map(|(key, value)| match value {
            Php::Text(text) => Some((key.parse().ok()?, text.clone())),
            Php::Array(_) => None,
        })
        .filter(|(id, _)| known(id))
        .collect()
}

pub(super) fn add(install: &Install, context: &Context, params: &Php) -> Outcome {
    let runtime = &context.runtime;
    let now = install.now(runtime);
    let ordernum = lock(&install.rng).random_range(1_000_000_000..10_000_000_000);
    let mut tables = lock(&install.tables);
    let client = params
        .number("clientid")
        .and_then(|id| tables.clients.get(&id).cloned())
        .ok_or("Client ID Not Found")?;
    if client.status == "Closed" {
        return Err("Unable to add order when client status is Closed".to_owned());
    }
    let methods = &install.options.payment_methods;
    let paymentmethod = params
        .text("paymentmethod")
        .filter(|method| methods.iter().any(|known| known == method))
        .ok_or_else(|| {
            format!(
                "Invalid Payment Method. Valid options include {}",
                methods.join(",")
            )
        })?
        .to_owned();
    let lines = lines(&tables, runtime.version, params)?;
    if lines.is_empty() {
        return Err("No items added to cart so order cannot proceed".to_owned());
    }
    let orderid = tables.next_id("orders");
    let mut made = Vec::new();
    let mut amount = 0.0;
    for line in &lines {
        let requested = column(params, "qty", &line.key)
            .and_then(cast)
            .filter(|_| runtime.version >= Version::V8_12)
            .unwrap_or(1)
            .max(1);
        let (copies, qty) = match line.product.allowqty {
            0 => (1, 1),
            1 => (requested, 1),
            _ => (1, requested),
        };
        let cycle = cycle_of(&line.product, column(params, "billingcycle", &line.key));
        let override_price =
            column(params, "priceoverride", &line.key).and_then(|text| text.parse().ok());
        let price = override_price.unwrap_or_else(|| price_of(&line.product, cycle));
        for _ in 0..copies {
            amount += price * qty as f64;
            if context
                .service_limit
                .is_some_and(|limit| made.len() >= limit)
            {
                continue;
            }
            let id = tables.next_id("services");
            let domain = column(params, "domain", &line.key).unwrap_or_default();
            tables.services.insert(
                id,
                Service {
                    id,
                    orderid,
                    clientid: client.id,
                    pid: line.product.pid,
                    qty,
                    regdate: now[..10].to_owned(),
                    domain: runtime
                        .rewrite_domain
                        .clone()
                        .unwrap_or_else(|| domain.to_owned()),
                    billingcycle: cycle.to_owned(),
                    amount: price * qty as f64,
                    status: "Pending".to_owned(),
                    custom_fields: if runtime.custom_fields_stored {
                        custom_fields(params, line)
                    } else {
                        BTreeMap::new()
                    },
                    notes: String::new(),
                    changed: BTreeMap::new(),
                },
            );
            made.push(id);
        }
    }
    let mut invoiceid = 0;
    if !params.flag("noinvoice").unwrap_or(false) && amount > 0.0 {
        invoiceid = tables.next_id("invoices");
        tables.invoices.insert(
            invoiceid,
            Invoice {
                id: invoiceid,
                userid: client.id,
                total: amount,
                status: "Unpaid".to_owned(),
            },
        );
        mail(&mut tables, params, "noinvoiceemail", "invoice", orderid);
    }
    mail(&mut tables, params, "noemail", "order", orderid);
    let sent_notes = params.text("notes").unwrap_or_default().to_owned();
    tables.orders.insert(
        orderid,
        Order {
            id: orderid,
            ordernum,
            userid: client.id,
            date: now,
            amount,
            paymentmethod,
            invoiceid,
            status: "Pending".to_owned(),
            ipaddress: params.text("clientip").unwrap_or_default().to_owned(),
            notes: if runtime.notes_stored {
                sent_notes.clone()
            } else {
                String::new()
            },
            sent_notes,
        },
    );
    let ids: Vec<String> = made.iter().map(ToString::to_string).collect();
    let key = if runtime.version < Version::V8_5 {
        "productids"
    } else {
        "serviceids"
    };
    Ok(fields(json!({
        "orderid": runtime.id(orderid), key: ids.join(","),
        "addonids": "", "domainids": "", "invoiceid": runtime.id(invoiceid),
    })))
}

fn mail(tables: &mut Tables, params: &Php, switch: &str, kind: &str, about: u64) {
    if !params.flag(switch).unwrap_or(false) {
        tables.mails.push(Mail {
            kind: kind.to_owned(),
            about,
        });
    }
}

pub(super) async fn accept(install: &Install, context: &Context, params: &Php) -> Outcome {
    let conflict = || "Order ID not found or Status not Pending".to_owned();
    let id = params.number("orderid").ok_or_else(conflict)?;
    let services: Vec<(u64, bool)> = {
        let tables = lock(&install.tables);
        tables
            .orders
            .get(&id)
            .filter(|order| order.status == "Pending")
            .ok_or_else(conflict)?;
        tables
            .services_of(id)
            .filter(|service| service.status == "Pending")
            .map(|service| {
                let product = tables.products.get(&service.pid);
                (service.id, product.is_some_and(|product| product.autosetup))
            })
            .collect()
    };
    let mail = params.flag("sendemail").unwrap_or(false);
    let mut failure = None;
    for (service, own_choice) in services {
        if !params.flag("autosetup").unwrap_or(own_choice) {
            continue;
        }
        match modules::create(install, context, service, mail).await {
            Created::Done => {}
            Created::NoModule => {
                if let Some(row) = lock(&install.tables).services.get_mut(&service) {
                    "Active".clone_into(&mut row.status);
                }
            }
            // The others are still tried, which makes an order partly active.
            Created::Failed(text) => failure = failure.or(Some(text)),
            Created::Died => return Err(modules::DIED.to_owned()),
        }
    }
    match failure {
        Some(text) => Err(text),
        None => {
            if let Some(order) = lock(&install.tables).orders.get_mut(&id) {
                "Active".clone_into(&mut order.status);
            }
            Ok(fields(json!({})))
        }
    }
}

pub(super) fn pending(install: &Install, params: &Php) -> Outcome {
    let mut tables = lock(&install.tables);
    let id = params.number("orderid").unwrap_or(0);
    let order = tables.orders.get_mut(&id).ok_or("Order ID Not Found")?;
    "Pending".clone_into(&mut order.status);
    for service in tables.services.values_mut().filter(|row| row.orderid == id) {
        "Pending".clone_into(&mut service.status);
    }
    Ok(fields(json!({})))
}

/// CancelOrder and FraudOrder.
pub(super) fn end(install: &Install, params: &Php, status: &str) -> Outcome {
    let mut tables = lock(&install.tables);
    let id = params.number("orderid").unwrap_or(0);
    let known = tables.orders.get(&id).map(|order| order.status.clone());
    match (status, known.as_deref()) {
        ("Cancelled", Some("Pending")) | ("Fraud", Some(_)) => {}
        ("Cancelled", _) => return Err("Order ID not found or Status not Pending".to_owned()),
        _ => return Err("Order ID Not Found".to_owned()),
    }
    if params.flag("cancelsub").unwrap_or(false) {
        return Err(
            "Subscription Cancellation Failed - Please check the gateway log for further information"
                .to_owned(),
        );
    }
    set_status(&mut tables, id, status);
    Ok(fields(json!({})))
}

/// Sets the final status of an order and its services.
pub(crate) fn set_status(tables: &mut Tables, id: u64, status: &str) {
    if let Some(order) = tables.orders.get_mut(&id) {
        status.clone_into(&mut order.status);
    }
    for service in tables.services.values_mut().filter(|row| row.orderid == id) {
        status.clone_into(&mut service.status);
    }
}

/// Builds every pending service of an order and marks it active.
pub(crate) fn build(tables: &mut Tables, order: u64) {
    for service in tables
        .services
        .values_mut()
        .filter(|row| row.orderid == order && row.status == "Pending")
    {
        "Active".clone_into(&mut service.status);
        *tables.remote.entry(service.id).or_default() += 1;
    }
}

/// Removes an order with its services and invoice.
pub(crate) fn erase(tables: &mut Tables, id: u64) {
    if let Some(order) = tables.orders.remove(&id) {
        tables.invoices.remove(&order.invoiceid);
    }
    tables.services.retain(|_, service| service.orderid != id);
}

pub(super) fn delete(install: &Install, params: &Php) -> Outcome {
    let mut tables = lock(&install.tables);
    let id = params.number("orderid").unwrap_or(0);
    let order = tables.orders.get(&id).ok_or("Order ID Not Found")?;
    if !["Cancelled", "Fraud"].contains(&order.status.as_str()) {
        return Err("The order status must be in Cancelled or Fraud to be deleted".to_owned());
    }
    erase(&mut tables, id);
    Ok(fields(json!({})))
}
