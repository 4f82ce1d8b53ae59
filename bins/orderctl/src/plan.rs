//! What provisioning an order would produce, without producing it.

use std::collections::BTreeMap;

use domain::failure::{Code, Refusal};
use domain::id::OrderId;
use domain::key::{ClientId, CorrelationId, Marker, WhmcsOrderId};
use domain::order::{
    ActivationStatus, OrderDetails, OrderState, Outcome, Plan, Progress, Report, WhmcsClient,
};
use domain::ports::{Clock, CrmOrders, NewClient, NewOrder, ProvisionerReads};
use runtime::SystemClock;
use serde_json::{Value, json};
use whmcs::PlannedCall;

use crate::cli::PlanOrder;
use crate::connect::Systems;
use crate::screen::{Exit, Screen, Stop, Table};
use crate::{Format, connect, orders};

/// What would happen.
struct Planned {
    /// What keeps it from succeeding.
    refusal: Option<Refusal>,
    calls: Vec<PlannedCall>,
    /// Service ids, by line: as many as there will be.
    services: BTreeMap<String, String>,
    fields: serde_json::Map<String, Value>,
}

pub(crate) async fn run(asked: &PlanOrder, screen: &mut Screen) -> Result<Exit, Stop> {
    let systems = asked.outside.systems()?;
    let store = connect::store(&asked.one.store).await?;
    // An order that no event came for is not in the store, and may be planned all the same.
    let order = match OrderId::parse(&asked.one.order) {
        Ok(order) => order,
        Err(_) => orders::find(&*store.ports, &asked.one.order).await?.order,
    };
    let facts = store.ports.facts_of(order).await?;
    let state = OrderState::replay(facts.iter().map(|recorded| &recorded.fact))?;
    let Some(details) = systems.salesforce.details(order).await? else {
        return Err(Stop::failed(format!(
            "Salesforce has no order {order} that we may see"
        )));
    };
    if details.activation != ActivationStatus::Activating {
        screen.note(&format!(
            "Activation Status is {}: a worker would do nothing until it is Activating",
            details.activation
        ));
    }
    let planned = plan(&systems, &details, &state).await?;
    write(&details, &planned, &systems, screen)?;
    Ok(match planned.refusal {
        None => Exit::Fine,
        Some(_) => Exit::Difference,
    })
}

async fn plan(
    systems: &Systems,
    details: &OrderDetails,
    state: &OrderState,
) -> Result<Planned, Stop> {
    let mut planned = Planned {
        refusal: None,
        calls: Vec::new(),
        services: BTreeMap::new(),
        fields: serde_json::Map::new(),
    };
    let placed = state.whmcs_order();
    if let Err(refusal) = steps(systems, details, state, &mut planned).await? {
        planned.calls.clear();
        planned.services.clear();
        planned.refusal = Some(refusal);
    }
    planned.fields = fields(systems, placed, planned.refusal.as_ref()).await?;
    Ok(planned)
}

/// Adds calls and service ids; what refuses the order ends it.
async fn steps(
    systems: &Systems,
    details: &OrderDetails,
    state: &OrderState,
    planned: &mut Planned,
) -> Result<Result<(), Refusal>, Stop> {
    let placed = state.whmcs_order();
    let plan = match Plan::of(&details.items, &systems.overrides) {
        Ok(plan) => Some(plan),
        // What exists in WHMCS already is not measured against today's mapping.
        Err(_) if placed.is_some() => None,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if placed.is_none()
        && let Some(plan) = &plan
    {
        let client = match client(systems, details, planned).await? {
            Ok(client) => client,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let order = NewOrder {
            client: client.unwrap_or(ClientId(0)),
            marker: Marker {
                org: details.org,
                order: details.id,
            },
            plan: plan.clone(),
        };
        let mut call = systems.whmcs.preview_order(&order);
        if client.is_none() {
            for (name, value) in &mut call.fields {
                if name == "clientid" {
                    "(the new client)".clone_into(value);
                }
            }
        }
        planned.calls.push(call);
    }
    if !matches!(state.progress, Progress::Accepted { .. }) {
        planned
            .calls
            .push(systems.whmcs.preview_accept(placed, true));
    }
    let known = state.placed_lines();
    for line in known {
        let ids = planned
            .services
            .entry(line.marker.item.to_string())
            .or_default();
        let comma = if ids.is_empty() { "" } else { "," };
        ids.push_str(&format!("{comma}{}", line.service));
    }
    if known.is_empty() {
        let mut counts = BTreeMap::<_, u32>::new();
        for line in plan.iter().flat_map(|plan| &plan.lines) {
            *counts.entry(line.marker.item.to_string()).or_default() += 1;
        }
        let text = |(item, count)| (item, format!("({count} new service ids)"));
        planned.services = counts.into_iter().map(text).collect();
    }
    Ok(Ok(()))
}

/// The client to order for; `None`: one that is to be created.
async fn client(
    systems: &Systems,
    details: &OrderDetails,
    planned: &mut Planned,
) -> Result<Result<Option<ClientId>, Refusal>, Stop> {
    let linked = details.account.whmcs_client.as_deref().map(str::trim);
    let refuse = |code, detail: String| Ok(Err(Refusal::new(code, detail)));
    if let Some(text) = linked.filter(|text| !text.is_empty()) {
        let Ok(id) = text.parse() else {
            return refuse(
                Code::ClientNotFound,
                format!("`{text}` on the account is no client id"),
            );
        };
        return match systems.whmcs.client(ClientId(id)).await? {
            None => refuse(Code::ClientNotFound, format!("WHMCS has no client {id}")),
            Some(found) if found.status == domain::order::ClientStatus::Closed => {
                refuse(Code::ClientClosed, format!("client {id} is closed"))
            }
            Some(found) => Ok(priced(systems, details, &found)),
        };
    }
    let Some(contact) = details.bill_to.clone().filter(|_| systems.create_clients) else {
        let text = format!("account {} has no WHMCS client", details.account.id);
        return refuse(Code::ClientNotLinked, text);
    };
    if let Some(found) = systems.whmcs.client_by_email(&contact.email).await? {
        return Ok(priced(systems, details, &found));
    }
    planned
        .calls
        .push(systems.whmcs.preview_client(&NewClient { contact }));
    Ok(Ok(None))
}

/// The client, unless the order's prices are in another currency than its invoices.
fn priced(
    systems: &Systems,
    details: &OrderDetails,
    found: &WhmcsClient,
) -> Result<Option<ClientId>, Refusal> {
    if systems.override_prices {
        found.takes_prices_in(details.currency.as_deref())?;
    }
    Ok(Some(found.id))
}

/// What would be written to the order.
async fn fields(
    systems: &Systems,
    placed: Option<WhmcsOrderId>,
    refusal: Option<&Refusal>,
) -> Result<serde_json::Map<String, Value>, Stop> {
    let correlation = CorrelationId::new("of the attempt");
    let correlation = correlation.expect("the text is not blank");
    let outcome = match refusal {
        None => Outcome::Provisioned {
            order: placed.unwrap_or(WhmcsOrderId(0)),
        },
        Some(refusal) => Outcome::Failed {
            refusal: refusal.clone(),
            order: placed,
        },
    };
    let report = Report {
        outcome,
        at: SystemClock.now(),
        message: refusal
            .map(|refusal| refusal.message(&correlation))
            .unwrap_or_default(),
        version: None,
    };
    let mut fields = systems.salesforce.preview(&report).await?;
    if refusal.is_none() && placed.is_none() {
        for value in fields.values_mut().filter(|value| **value == json!("0")) {
            *value = json!("(the new order)");
        }
    }
    Ok(fields)
}

fn write(
    details: &OrderDetails,
    planned: &Planned,
    systems: &Systems,
    screen: &mut Screen,
) -> Result<(), Stop> {
    let call = |call: &PlannedCall| {
        let fields = call.fields.iter().map(|(name, value)| json!([name, value]));
        json!({"action": call.action, "fields": fields.collect::<Vec<_>>()})
    };
    let service_field = systems.salesforce.service_field();
    let items = planned
        .services
        .iter()
        .map(|(item, ids)| json!({"id": item, service_field: ids}));
    let value = json!({
        "order": details.id.as_str(),
        "number": details.number,
        "refusal": planned.refusal.as_ref().map(|refusal| json!({
            "code": refusal.code.as_str(), "detail": refusal.detail,
        })),
        "whmcs": planned.calls.iter().map(call).collect::<Vec<_>>(),
        "salesforce": {"items": items.collect::<Vec<_>>(), "order": planned.fields},
    });
    if screen.format != Format::Table {
        return screen.value(&value);
    }
    let mut rows = Vec::new();
    let mut row = |place: &str, name: &str, value: String| {
        rows.push((vec![place.to_owned(), name.to_owned(), value], Value::Null));
    };
    if let Some(refusal) = &planned.refusal {
        row("refused", refusal.code.as_str(), refusal.detail.clone());
    }
    for call in &planned.calls {
        for (name, value) in &call.fields {
            row(call.action, name, value.clone());
        }
    }
    for (item, ids) in &planned.services {
        row(&format!("OrderItem {item}"), service_field, ids.clone());
    }
    for (name, value) in &planned.fields {
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
