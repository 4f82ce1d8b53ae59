//! Operator actions for failed orders.

use anyhow::anyhow;
use e2e::staff::finish_activation;
use rand::Rng;
use rand::rngs::StdRng;
use simulators::World;

use crate::faults::field;

/// Occasionally resolves a failed order.
pub(crate) fn operate(world: &World, orders: &[String], rng: &mut StdRng) -> anyhow::Result<()> {
    for order in orders {
        if field(world, order, "Activation_Status__c") == "Failed" && rng.random_bool(0.05) {
            resolve(world, order)?;
        }
    }
    Ok(())
}

/// Does what the failure's message asks for, then retries.
pub(crate) fn resolve(world: &World, order: &str) -> anyhow::Result<()> {
    if field(world, order, "Activation_Error_Code__c") == "WHMCS_OUTCOME_UNKNOWN" {
        let named = field(world, order, "WHMCS_Order_ID__c");
        finish_activation(&world.whmcs, order, &named);
    }
    world
        .salesforce
        .retry(order)
        .map_err(|refusal| anyhow!("{refusal:?}"))
}
