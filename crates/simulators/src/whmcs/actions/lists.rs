//! GetOrders and GetOrderStatuses.
use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    super::{
        books::{Books, Order},
        install::{Context, Install},
        options::Knobs,
        php::Php,
        wire::{Outcome, fields, money},
    },
    page,
};
use crate::lock;

pub(super) fn orders(install: &Install, context: &Context, params: &Php) -> Outcome {
    let knobs = &context.knobs;
    let books = lock(&install.books);
    let wanted = |order: &&Order| {
        params.number("id").is_none_or(|id| order.id == id)
            && params.number("userid").is_none_or(|id| order.userid == id)
            && params
                .text("status")
                .is_none_or(|status| order.status.eq_ignore_ascii_case(status))
    };
    let mut rows: Vec<&Order> = books.orders.values().filter(wanted).collect();
    if knobs.newest_first {
        rows.reverse();
    }
    let (total, start, rows) = page(params, rows);
    let shown: Vec<Value> = rows
        .iter()
        .map(|order| show(&books, knobs, order))
        .collect();
    Ok(fields(json!({
        "totalresults": knobs.id(total as u64), "startnumber": knobs.id(start as u64),
        "numreturned": knobs.id(shown.len() as u64), "orders": knobs.list("order", shown),
    })))
}

fn show(books: &Books, knobs: &Knobs, order: &Order) -> Value {
    let client = books.clients.get(&order.userid);
    let name = client.map(|client| format!("{} {}", client.firstname, client.lastname));
    let items: Vec<Value> = books
        .services_of(order.id)
        .map(|service| {
            let product = books.products.get(&service.pid);
            json!({
                "type": "product", "relid": knobs.id(service.id), "producttype": "Other Product/Service",
                "product": product.map(|product| product.name.clone()).unwrap_or_default(),
                "domain": service.domain, "billingcycle": service.billingcycle,
                "amount": format!("${} USD", money(service.amount)), "status": service.status,
            })
        })
        .collect();
    let invoice = books.invoices.get(&order.invoiceid);
    json!({
        "id": knobs.id(order.id), "ordernum": knobs.id(order.ordernum),
        "userid": knobs.id(order.userid), "contactid": knobs.id(0), "date": order.date,
        "nameservers": "", "transfersecret": "", "renewals": "", "promocode": "", "promotype": "",
        "promovalue": "", "orderdata": "", "amount": money(order.amount),
        "paymentmethod": order.paymentmethod, "invoiceid": knobs.id(order.invoiceid),
        "status": order.status, "ipaddress": order.ipaddress, "fraudmodule": "", "fraudoutput": "",
        "notes": order.notes, "paymentmethodname": order.paymentmethod,
        "paymentstatus": invoice.map(|invoice| invoice.status.clone()).unwrap_or_default(),
        "name": name, "currencyprefix": "$", "currencysuffix": " USD", "frauddata": "",
        "validationdata": "", "lineitems": knobs.list("lineitem", items),
    })
}

pub(super) fn statuses(install: &Install, context: &Context) -> Outcome {
    let knobs = &context.knobs;
    let books = lock(&install.books);
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for status in ["Pending", "Active", "Fraud", "Cancelled"] {
        counts.insert(status, 0);
    }
    for order in books.orders.values() {
        *counts.entry(order.status.as_str()).or_default() += 1;
    }
    let shown: Vec<Value> = counts
        .into_iter()
        .map(|(title, count)| json!({"title": title, "count": knobs.id(count)}))
        .collect();
    Ok(fields(json!({
        "totalresults": knobs.id(shown.len() as u64), "statuses": knobs.list("status", shown),
    })))
}
