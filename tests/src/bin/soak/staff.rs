//! What people do about orders that failed.

use anyhow::anyhow;
use rand::Rng;
use rand::rngs::StdRng;
use simulators::World;

use crate::trouble::field;

/// Now and then somebody looks at an order that failed.
pub(crate) fn operate(world: &World, orders: &[String], dice: &mut StdRng) -> anyhow::Result<()> {
    for order in orders {
        if field(world, order, "Activation_Status__c") == "Failed" && dice.random_bool(0.05) {
            resolve(world, order)?;
        }
    }
    Ok(())
}

/// Does what the failure's message asks for, then asks for another attempt.
pub(crate) fn resolve(world: &World, order: &str) -> anyhow::Result<()> {
    if field(world, order, "Activation_Error_Code__c") == "WHMCS_OUTCOME_UNKNOWN" {
        finish_set_up(world, order);
    }
    world
        .salesforce
        .retry(order)
        .map_err(|refusal| anyhow!("{refusal:?}"))
}

/// Looks at the remote system for each service of the order: what exists there is marked
/// active, what does not is built by hand.
///
/// Without a WHMCS order on the Salesforce order the doubt is about placing it, nothing was
/// set up, and the retry goes on.
fn finish_set_up(world: &World, order: &str) {
    let placed = world.whmcs.orders_for(order);
    let named = field(world, order, "WHMCS_Order_ID__c");
    let Some(placed) = placed.iter().find(|placed| placed.id.to_string() == named) else {
        return;
    };
    let built = world.whmcs.remote_accounts();
    for service in world.whmcs.services_of(placed.id) {
        if service.status == "Active" {
            continue;
        }
        match built.contains_key(&service.id) {
            true => world.whmcs.set_service_status(service.id, "Active"),
            false => world.whmcs.build_by_hand(service.id),
        }
    }
    world.whmcs.set_order_status(placed.id, "Active");
}
