//! `orderctl orders plan`: the calls that a worker would make for an order.

mod dry_run;
mod print;

use domain::failure::Refusal;
use domain::id::OrderId;
use domain::key::{ClientId, ServiceId, WhmcsOrderId};
use domain::order::{Action, ActivationStatus, OrderState};
use domain::ports::CrmOrders;

use crate::cli::PlanOrder;
use crate::connect;
use crate::lookup::find;
use crate::screen::{Exit, Screen, Stop};

/// Stands for the client, order and services that WHMCS has yet to create.
const NEW_CLIENT: ClientId = ClientId(0);
const NEW_ORDER: WhmcsOrderId = WhmcsOrderId(0);
const NEW_SERVICE: ServiceId = ServiceId(0);

/// What a worker would do.
#[derive(Default)]
struct Planned {
    /// Why the attempt would fail.
    refusal: Option<Refusal>,
    actions: Vec<Action>,
    /// What the worker waits for first; later actions depend on it.
    wait: Option<String>,
}

pub(crate) async fn run(asked: &PlanOrder, screen: &mut Screen) -> Result<Exit, Stop> {
    let systems = connect::systems(&asked.systems)?;
    let store = connect::store(&asked.one.store).await?;
    // An order without an event is not in the store, and can be planned all the same.
    let order = match OrderId::parse(&asked.one.order) {
        Ok(order) => order,
        Err(_) => find(&*store.ports, &asked.one.order).await?.order,
    };
    let facts = store.ports.facts_of(order).await?;
    let marker_proof = store.ports.marker_proof().await?;
    let state = OrderState::replay(facts.iter().map(|recorded| &recorded.fact))?;
    let Some(details) = systems.salesforce.details(order).await? else {
        return Err(Stop::NotFound(format!(
            "Salesforce has no order {order} that the integration user can read"
        )));
    };
    if details.activation != ActivationStatus::Activating {
        screen.note(&format!(
            "Activation Status is {}: a worker does nothing until it is Activating",
            details.activation
        ));
    }
    let planned = dry_run::run(&systems, &details, state, marker_proof).await?;
    if let Some(wait) = &planned.wait {
        screen.note(wait);
    }
    print::write(&details, &planned, &systems, screen).await?;
    Ok(match planned.refusal {
        None => Exit::Fine,
        Some(_) => Exit::Difference,
    })
}
