//! Clients.
use serde_json::{Map, Value, json};

use super::{
    super::{
        install::{Context, Install},
        options::{RuntimeOptions, Version},
        php::Php,
        tables::{CURRENCIES, Client},
        wire::{Outcome, entities, fields},
    },
    page,
};
use crate::lock;

const DETAILS: &[&str] = &[
    "address1",
    "address2",
    "city",
    "state",
    "postcode",
    "country",
    "phonenumber",
    "tax_id",
    "language",
    "notes",
];

pub(super) fn list(install: &Install, context: &Context, params: &Php) -> Outcome {
    let runtime = &context.runtime;
    let tables = lock(&install.tables);
    let search = params.text("search").map(str::to_lowercase);
    let wanted = |client: &&Client| {
        let starts = |search: &String| {
            [
                &client.email,
                &client.firstname,
                &client.lastname,
                &client.companyname,
            ]
            .iter()
            .any(|text| text.to_lowercase().starts_with(search))
        };
        search.as_ref().is_none_or(starts)
            && params
                .text("status")
                .is_none_or(|status| client.status.eq_ignore_ascii_case(status))
    };
    let rows: Vec<&Client> = tables.clients.values().filter(wanted).collect();
    let (total, start, rows) = page(params, rows);
    let shown: Vec<Value> = rows
        .iter()
        .map(|client| {
            json!({
                "id": runtime.id(client.id), "firstname": entities(&client.firstname),
                "lastname": entities(&client.lastname), "companyname": entities(&client.companyname),
                "email": client.email, "datecreated": "2026-01-01", "groupid": runtime.id(0),
                "status": client.status,
            })
        })
        .collect();
    Ok(fields(json!({
        "totalresults": runtime.id(total as u64), "startnumber": runtime.id(start as u64),
        "numreturned": runtime.id(shown.len() as u64), "clients": runtime.list("client", shown),
    })))
}

fn show(runtime: &RuntimeOptions, client: &Client) -> Map<String, Value> {
    let mut shown = fields(json!({
        "id": runtime.id(client.id), "userid": runtime.id(client.id), "client_id": runtime.id(client.id),
        "uuid": format!("00000000-0000-4000-8000-{:012}", client.id),
        "owner_user_id": runtime.id(client.id),
        "firstname": entities(&client.firstname), "lastname": entities(&client.lastname),
        "fullname": entities(&format!("{} {}", client.firstname, client.lastname)),
        "companyname": entities(&client.companyname), "email": client.email,
        "status": client.status, "currency": runtime.id(client.currency as u64 + 1),
        "customfields": [], "groupid": runtime.id(0), "credit": "0.00", "defaultgateway": "",
        "cctype": "", "cclastfour": "", "gatewayid": "", "securityqid": runtime.id(0),
        "securityqans": "", "billingcid": runtime.id(0), "twofaenabled": false,
        "taxexempt": false, "latefeeoveride": false, "overideduenotices": false,
        "separateinvoices": false, "disableautocc": false, "emailoptout": false,
        "marketing_emails_opt_in": false, "overrideautoclose": false,
        "allowSingleSignOn": runtime.id(1), "email_verified": false, "isOptedInToMarketingEmails": false,
        "lastlogin": "No Login Logged", "phonecc": runtime.id(44),
    }));
    if runtime.currency_code_shown {
        shown.insert(
            "currency_code".to_owned(),
            CURRENCIES[client.currency].into(),
        );
    }
    for key in DETAILS {
        let value = client.details.get(*key).map(|text| entities(text));
        shown.insert((*key).to_owned(), Value::from(value.unwrap_or_default()));
    }
    for (copy, of) in [
        ("fullstate", "state"),
        ("statecode", "state"),
        ("countrycode", "country"),
        ("countryname", "country"),
        ("telephoneNumber", "phonenumber"),
        ("phonenumberformatted", "phonenumber"),
    ] {
        let value = shown.get(of).cloned().unwrap_or_default();
        shown.insert(copy.to_owned(), value);
    }
    shown
}

pub(super) fn details(install: &Install, context: &Context, params: &Php) -> Outcome {
    let tables = lock(&install.tables);
    let found = match (params.number("clientid"), params.text("email")) {
        (Some(id), _) => tables.clients.get(&id),
        (None, Some(email)) => tables
            .clients
            .values()
            .find(|client| client.email.eq_ignore_ascii_case(email)),
        (None, None) => return Err("Either clientid Or email Is Required".to_owned()),
    };
    let client = found.ok_or("Client Not Found")?;
    // The same fields again at the top level, for compatibility.
    let mut shown = show(&context.runtime, client);
    let nested = Value::Object(shown.clone());
    shown.insert("client".to_owned(), nested);
    if params.flag("stats").unwrap_or(false) {
        let services = tables.services.values();
        let own = services.filter(|service| service.clientid == client.id);
        let (mut active, mut total) = (0, 0);
        for service in own {
            total += 1;
            active += u64::from(service.status == "Active");
        }
        let stats = json!({
            "numactiveproducts": context.runtime.id(active),
            "productsnumtotal": context.runtime.id(total),
        });
        shown.insert("stats".to_owned(), stats);
    }
    Ok(shown)
}

fn take(client: &mut Client, params: &Php) {
    for (key, place) in [
        ("firstname", &mut client.firstname),
        ("lastname", &mut client.lastname),
        ("companyname", &mut client.companyname),
        ("email", &mut client.email),
        ("status", &mut client.status),
    ] {
        if let Some(text) = params.text(key) {
            text.clone_into(place);
        }
    }
    for key in DETAILS {
        let Some(text) = params.text(key) else {
            continue;
        };
        let mut text = text.to_owned();
        if *key == "phonenumber" {
            text.retain(|c| c.is_ascii_digit());
        }
        client.details.insert((*key).to_owned(), text);
    }
}

pub(super) fn add(install: &Install, context: &Context, params: &Php) -> Outcome {
    let runtime = &context.runtime;
    let skip = params.flag("skipvalidation").unwrap_or(false);
    let mut required = vec![
        ("firstname", "first name"),
        ("lastname", "last name"),
        ("email", "email"),
    ];
    if !skip {
        required.extend([
            ("address1", "address (line 1)"),
            ("city", "city"),
            ("state", "state"),
            ("postcode", "postcode"),
            ("country", "country"),
            ("phonenumber", "phone number"),
        ]);
    }
    for (key, name) in required {
        if params.text(key).is_none() {
            return Err(format!("You did not enter your {name}"));
        }
    }
    if runtime.version >= Version::V9_0 && params.text("password2").is_none() {
        return Err("The Password field is required.".to_owned());
    }
    let email = params.text("email").unwrap_or_default();
    let mut tables = lock(&install.tables);
    if tables
        .clients
        .values()
        .any(|client| client.email.eq_ignore_ascii_case(email))
    {
        return Err("A user already exists with that email address".to_owned());
    }
    let id = tables.next_id("clients");
    let mut client = Client {
        id,
        status: "Active".to_owned(),
        ..Client::default()
    };
    take(&mut client, params);
    tables.clients.insert(id, client);
    Ok(fields(json!({"clientid": runtime.id(id)})))
}

pub(super) fn update(install: &Install, context: &Context, params: &Php) -> Outcome {
    let mut tables = lock(&install.tables);
    let id = params.number("clientid").or_else(|| {
        let email = params.text("clientemail")?;
        let found = tables.clients.values().find(|client| client.email == email);
        found.map(|client| client.id)
    });
    let client = id
        .and_then(|id| tables.clients.get_mut(&id))
        .ok_or("Client ID Not Found")?;
    take(client, params);
    Ok(fields(json!({"clientid": context.runtime.id(client.id)})))
}
