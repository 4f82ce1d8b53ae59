//! What people do about orders that failed.

use anyhow::anyhow;
use e2e::staff::finish_set_up;
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
        let named = field(world, order, "WHMCS_Order_ID__c");
        finish_set_up(&world.whmcs, order, &named);
    }
    world
        .salesforce
        .retry(order)
        .map_err(|refusal| anyhow!("{refusal:?}"))
}
