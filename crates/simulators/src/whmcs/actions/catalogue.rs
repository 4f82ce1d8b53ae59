//! What is for sale, how it is paid, and who we are.
use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::super::{
    books::{CURRENCIES, ModuleScript, Product},
    install::{Context, Install},
    options::{Knobs, Version},
    php::{Php, cast},
    wire::{Outcome, fields, money},
};
use crate::lock;

pub(super) fn products(install: &Install, context: &Context, params: &Php) -> Outcome {
    let knobs = &context.knobs;
    let books = lock(&install.books);
    let wanted: Option<BTreeSet<u64>> = params
        .text("pid")
        .map(|list| list.split(',').filter_map(cast).collect());
    let shown: Vec<Value> = books
        .products
        .values()
        .filter(|product| {
            wanted
                .as_ref()
                .is_none_or(|pids| pids.contains(&product.pid))
        })
        .map(|product| show(knobs, product))
        .collect();
    Ok(fields(json!({
        "totalresults": knobs.id(shown.len() as u64), "products": knobs.list("product", shown),
    })))
}

fn show(knobs: &Knobs, product: &Product) -> Value {
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
        .map(|(id, name)| json!({"id": knobs.id(*id), "name": name, "description": "", "required": ""}))
        .collect();
    let module = if product.module.script == ModuleScript::None {
        ""
    } else {
        product.module.name.as_str()
    };
    let mut shown = json!({
        "pid": knobs.id(product.pid), "gid": knobs.id(1), "type": "other", "name": product.name,
        "description": "", "module": module, "paytype": product.paytype,
        "pricing": {"USD": pricing}, "customfields": knobs.list("customfield", custom),
        "configoptions": knobs.list("configoption", Vec::new()),
    });
    if knobs.version >= Version::V8_12 {
        shown["allowqty"] = knobs.id(u64::from(product.allowqty));
        shown["quantity_available"] = knobs.id(0);
    }
    shown
}

pub(super) fn payment_methods(install: &Install, context: &Context) -> Outcome {
    let knobs = &context.knobs;
    let shown: Vec<Value> = install
        .options
        .payment_methods
        .iter()
        .map(|method| json!({"module": method, "displayname": method}))
        .collect();
    Ok(fields(json!({
        "totalresults": knobs.id(shown.len() as u64),
        "paymentmethods": knobs.list("paymentmethod", shown),
    })))
}

pub(super) fn currencies(context: &Context) -> Outcome {
    let knobs = &context.knobs;
    let shown = CURRENCIES.iter().zip(1..).map(|(code, id)| {
        json!({"id": knobs.id(id), "code": code, "prefix": "", "suffix": format!(" {code}"), "format": knobs.id(1), "rate": "1.00000"})
    });
    Ok(fields(json!({
        "totalresults": knobs.id(CURRENCIES.len() as u64),
        "currencies": knobs.list("currency", shown.collect()),
    })))
}

pub(super) fn invoice(install: &Install, context: &Context, params: &Php) -> Outcome {
    let knobs = &context.knobs;
    let books = lock(&install.books);
    let invoice = params
        .number("invoiceid")
        .and_then(|id| books.invoices.get(&id))
        .ok_or("Invoice ID Not Found")?;
    Ok(fields(json!({
        "invoiceid": knobs.id(invoice.id), "userid": knobs.id(invoice.userid),
        "subtotal": money(invoice.total), "total": money(invoice.total),
        "balance": money(invoice.total), "status": invoice.status,
        "items": knobs.list("item", Vec::new()), "transactions": "",
    })))
}

pub(super) fn version(context: &Context) -> Outcome {
    let version = context.knobs.version.text();
    Ok(fields(json!({
        "whmcs": {"version": version, "canonicalversion": format!("{version}-release.1")},
    })))
}
