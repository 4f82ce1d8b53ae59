//! GetOrders and GetOrderStatuses.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::{
        install::{Context, Install},
        options::RuntimeOptions,
        php::Php,
        tables::{Order, Tables},
        wire::{Outcome, entities, fields, money},
    },
    page,
};
use crate::lock;

pub(super) fn orders(install: &Install, context: &Context, params: &Php) -> Outcome {
    let runtime = &context.runtime;
    let tables = lock(&install.tables);
    let wanted = |order: &&Order| {
        params.number("id").is_none_or(|id| order.id == id)
            && params.number("userid").is_none_or(|id| order.userid == id)
            && params
                .number("requestor_id")
                .is_none_or(|id| order.userid == id)
            && params
                .text("status")
                .is_none_or(|status| order.status.eq_ignore_ascii_case(status))
    };
    let mut rows: Vec<&Order> = tables.orders.values().filter(wanted).collect();
    if runtime.newest_first {
        rows.reverse();
    }
    let (total, start, rows) = page(params, rows);
    let shown: Vec<Value> = rows
        .iter()
        .map(|order| show(&tables, runtime, order))
        .collect();
    Ok(fields(json!({
        "totalresults": runtime.id(total as u64), "startnumber": runtime.id(start as u64),
        "numreturned": runtime.id(shown.len() as u64), "orders": runtime.list("order", shown),
    })))
}

fn show(tables: &Tables, runtime: &RuntimeOptions, order: &Order) -> Value {
    let client = tables.clients.get(&order.userid);
    let name = client.map(|client| entities(&format!("{} {}", client.firstname, client.lastname)));
    let items: Vec<Value> = tables
        .services_of(order.id)
        .map(|service| {
            let product = tables.products.get(&service.pid);
            json!({
                "type": "product", "relid": runtime.id(service.id), "producttype": "Other Product/Service",
                "product": product.map(|product| entities(&product.name)).unwrap_or_default(),
                "domain": service.domain, "billingcycle": service.billingcycle,
                "amount": format!("${} USD", money(service.amount)), "status": service.status,
            })
        })
        .collect();
    let invoice = tables.invoices.get(&order.invoiceid);
    json!({
        "id": runtime.id(order.id), "ordernum": runtime.id(order.ordernum),
        "userid": runtime.id(order.userid), "contactid": runtime.id(0), "date": order.date,
        "requestor_id": runtime.id(order.userid), "admin_requestor_id": runtime.id(0),
        "nameservers": "", "transfersecret": "", "renewals": "", "renewalsByType": "", "promocode": "", "promotype": "",
        "promovalue": "", "orderdata": "", "amount": money(order.amount),
        "paymentmethod": order.paymentmethod, "invoiceid": runtime.id(order.invoiceid),
        "status": order.status, "ipaddress": order.ipaddress, "fraudmodule": "", "fraudoutput": "",
        "notes": order.notes, "paymentmethodname": order.paymentmethod,
        "paymentstatus": invoice.map(|invoice| invoice.status.clone()).unwrap_or_default(),
        "name": name, "currencyprefix": "$", "currencysuffix": " USD", "frauddata": "",
        "validationdata": "", "lineitems": runtime.list("lineitem", items),
    })
}

pub(super) fn statuses(install: &Install, context: &Context) -> Outcome {
    let runtime = &context.runtime;
    let tables = lock(&install.tables);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for status in ["Pending", "Active", "Fraud", "Cancelled"] {
        counts.insert(status, 0);
    }
    for order in tables.orders.values() {
        *counts.entry(order.status.as_str()).or_default() += 1;
    }
    let shown: Vec<Value> = counts
        .into_iter()
        .map(|(title, count)| json!({"title": title, "count": runtime.id(count)}))
        .collect();
    Ok(fields(json!({
        "totalresults": runtime.id(shown.len() as u64), "statuses": runtime.list("status", shown),
    })))
}
