//! Products, payment methods, currencies, invoices and version.
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::{
    install::{Context, Install},
    options::{RuntimeOptions, Version},
    php::{Php, cast},
    tables::{CURRENCIES, Product},
    wire::{Outcome, entities, fields, money},
};
use crate::lock;

pub(super) fn products(install: &Install, context: &Context, params: &Php) -> Outcome {
    let runtime = &context.runtime;
    let tables = lock(&install.tables);
    let wanted: Option<BTreeSet<u64>> = params
        .text("pid")
        .map(|list| list.split(',').filter_map(cast).collect());
    let group = params.number("gid");
    let module = params.text("module");
    let shown: Vec<Value> = tables
        .products
        .values()
        .filter(|product| {
            wanted
                .as_ref()
                .is_none_or(|pids| pids.contains(&product.pid))
                && group.is_none_or(|gid| product.gid == gid)
                && module.is_none_or(|name| product.module_name().eq_ignore_ascii_case(name))
        })
        .map(|product| show(runtime, product))
        .collect();
    Ok(fields(json!({
        "totalresults": runtime.id(shown.len() as u64), "products": runtime.list("product", shown),
    })))
}

fn show(runtime: &RuntimeOptions, product: &Product) -> Value {
    let mut pricing = Map::new();
    pricing.insert("prefix".to_owned(), json!("$"));
    pricing.insert("suffix".to_owned(), json!(" USD"));
    for (cycle, fee) in [
        ("monthly", "msetupfee"),
        ("quarterly", "qsetupfee"),
        ("semiannually", "ssetupfee"),
        ("annually", "asetupfee"),
        ("biennially", "bsetupfee"),
        ("triennially", "tsetupfee"),
    ] {
        let price = product.prices.get(cycle).copied().unwrap_or(-1.0);
        pricing.insert(cycle.to_owned(), json!(money(price)));
        pricing.insert(fee.to_owned(), json!("0.00"));
    }
    let custom: Vec<Value> = product
        .custom_fields
        .iter()
        .map(|(id, name)| json!({"id": runtime.id(*id), "name": name, "description": "", "required": ""}))
        .collect();
    let name = product.name.to_lowercase();
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    let slug = words.join("-");
    let mut shown = json!({
        "pid": runtime.id(product.pid), "gid": runtime.id(product.gid), "type": "other",
        "name": entities(&product.name), "slug": slug, "product_url": format!("/store/{slug}"),
        "description": "", "module": product.module_name(), "paytype": product.paytype,
        "pricing": {"USD": pricing}, "customfields": runtime.list("customfield", custom),
        "configoptions": runtime.list("configoption", Vec::new()),
    });
    if runtime.version >= Version::V8_12 {
        shown["allowqty"] = runtime.id(u64::from(product.allowqty));
        shown["quantity_available"] = runtime.id(0);
    }
    shown
}

pub(super) fn payment_methods(install: &Install, context: &Context) -> Outcome {
    let runtime = &context.runtime;
    let shown: Vec<Value> = install
        .options
        .payment_methods
        .iter()
        .map(|method| json!({"module": method, "displayname": method}))
        .collect();
    Ok(fields(json!({
        "totalresults": runtime.id(shown.len() as u64),
        "paymentmethods": runtime.list("paymentmethod", shown),
    })))
}

pub(super) fn currencies(context: &Context) -> Outcome {
    let runtime = &context.runtime;
    let shown = CURRENCIES.iter().zip(1..).map(|(code, id)| {
        json!({"id": runtime.id(id), "code": code, "prefix": "", "suffix": format!(" {code}"), "format": runtime.id(1), "rate": "1.00000"})
    });
    Ok(fields(json!({
        "totalresults": runtime.id(CURRENCIES.len() as u64),
        "currencies": runtime.list("currency", shown.collect()),
    })))
}

pub(super) fn invoice(install: &Install, context: &Context, params: &Php) -> Outcome {
    let runtime = &context.runtime;
    let tables = lock(&install.tables);
    let invoice = params
        .number("invoiceid")
        .and_then(|id| tables.invoices.get(&id))
        .ok_or("Invoice ID Not Found")?;
    let order = tables.orders.values().find(|o| o.invoiceid == invoice.id);
    let services = order.into_iter().flat_map(|o| tables.services_of(o.id));
    let items: Vec<Value> = services
        .zip(1..)
        .map(|(service, n)| {
            let product = tables.products.get(&service.pid);
            let name = product.map(|product| entities(&product.name));
            json!({
                "id": runtime.id(invoice.id * 100 + n), "type": "Hosting",
                "relid": runtime.id(service.id), "description": name.unwrap_or_default(),
                "amount": money(service.amount), "taxed": runtime.id(0),
            })
        })
        .collect();
    let date = order.map_or("0000-00-00", |order| &order.date[..10]);
    Ok(fields(json!({
        "invoiceid": runtime.id(invoice.id), "invoicenum": "", "userid": runtime.id(invoice.userid),
        "date": date, "duedate": date, "datepaid": "0000-00-00 00:00:00",
        "lastcaptureattempt": "0000-00-00 00:00:00", "subtotal": money(invoice.total),
        "credit": "0.00", "tax": "0.00", "tax2": "0.00", "total": money(invoice.total),
        "balance": money(invoice.total), "taxrate": "0.00", "taxrate2": "0.00",
        "status": invoice.status, "notes": "", "ccgateway": false,
        "paymentmethod": order.map(|order| order.paymentmethod.clone()).unwrap_or_default(),
        "items": runtime.list("item", items), "transactions": "",
    })))
}

pub(super) fn version(context: &Context) -> Outcome {
    let version = context.runtime.version.text();
    Ok(fields(json!({
        "whmcs": {"version": version, "canonicalversion": format!("{version}-release.1")},
    })))
}
