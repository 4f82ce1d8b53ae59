//! Prints the planned calls per system; ids that are not assigned yet are described in words.

use domain::key::ServiceId;
use domain::order::{Action, OrderDetails};
use serde_json::{Value, json};
use whmcs::PlannedCall;

use super::{NEW_SERVICE, Planned};
use crate::args::Format;
use crate::connect::Systems;
use crate::screen::{Screen, Stop, Table};

pub(super) async fn write(
    details: &OrderDetails,
    planned: &Planned,
    systems: &Systems,
    screen: &mut Screen,
) -> Result<(), Stop> {
    let crm = &systems.salesforce;
    let mut calls: Vec<PlannedCall> = Vec::new();
    let (mut account, mut items, mut order) = (None, Vec::new(), serde_json::Map::new());
    for action in &planned.actions {
        match action {
            Action::LinkClient { client, .. } => {
                account = Some((crm.client_field(), id(client.0, "(the new client)")));
            }
            Action::ReportItems(reports) => {
                items = reports
                    .iter()
                    .map(|report| (report.item.to_string(), services(&report.services)))
                    .collect();
            }
            Action::Report(report) => order = crm.preview(report).await?,
            Action::Effect(effect) => calls.push(systems.whmcs.preview(effect)),
        }
    }
    for call in &mut calls {
        for (name, value) in call.fields.iter_mut().filter(|(_, value)| value == "0") {
            match name.as_str() {
                "clientid" => "(the new client)".clone_into(value),
                "orderid" => "(the new order)".clone_into(value),
                _ => {}
            }
        }
    }
    if planned.refusal.is_none() {
        for value in order.values_mut().filter(|value| **value == json!("0")) {
            *value = json!("(the new order)");
        }
    }
    let service_field = crm.service_field();
    if screen.format == Format::Table {
        return write_table(
            planned,
            &calls,
            account,
            (service_field, &items),
            &order,
            screen,
        );
    }
    let calls = calls.iter().map(|call| {
        let fields = call.fields.iter().map(|(name, value)| json!([name, value]));
        json!({"action": call.action, "fields": fields.collect::<Vec<_>>()})
    });
    let items = items
        .iter()
        .map(|(item, ids)| json!({"id": item, service_field: ids}));
    screen.value(&json!({
        "order": details.id.as_str(),
        "number": details.number,
        "wait": planned.wait,
        "refusal": planned.refusal.as_ref().map(|refusal| json!({
            "code": refusal.code.as_str(), "detail": refusal.detail,
        })),
        "whmcs": calls.collect::<Vec<_>>(),
        "salesforce": {
            "account": account.map(|(field, client)| json!({field: client})),
            "items": items.collect::<Vec<_>>(),
            "order": order,
        },
    }))
}

fn id(number: u64, new: &str) -> String {
    match number {
        0 => new.to_owned(),
        number => number.to_string(),
    }
}

fn services(ids: &[ServiceId]) -> String {
    if ids.contains(&NEW_SERVICE) {
        return format!("({} new service ids)", ids.len());
    }
    let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
    ids.join(",")
}

fn write_table(
    planned: &Planned,
    calls: &[PlannedCall],
    account: Option<(&str, String)>,
    (service_field, items): (&str, &[(String, String)]),
    order: &serde_json::Map<String, Value>,
    screen: &mut Screen,
) -> Result<(), Stop> {
    let mut rows = Vec::new();
    let mut row = |place: &str, name: &str, value: String| {
        rows.push((vec![place.to_owned(), name.to_owned(), value], Value::Null));
    };
    if let Some(refusal) = &planned.refusal {
        row("refused", refusal.code.as_str(), refusal.detail.clone());
    }
    for call in calls {
        for (name, value) in &call.fields {
            row(call.action, name, value.clone());
        }
    }
    if let Some((field, client)) = account {
        row("Account", field, client);
    }
    for (item, ids) in items {
        row(&format!("OrderItem {item}"), service_field, ids.clone());
    }
    for (name, value) in order {
        let text = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        row("Order", name, text);
    }
    screen.list(Table {
        columns: &["WHERE", "FIELD", "VALUE"],
        rows,
    })
}
