//! Orders, what befalls them, and what operators do about it.

use anyhow::anyhow;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};
use simulators::{When, World};

/// Faults after which AddOrder has had its effect.
const SPOILT: [FaultId; 10] = [
    FaultId::F03,
    FaultId::F04,
    FaultId::F05,
    FaultId::F06,
    FaultId::F07,
    FaultId::F08,
    FaultId::F09,
    FaultId::F10,
    FaultId::F11,
    FaultId::F13,
];

/// Places and approves up to three orders; some have their AddOrder or AcceptOrder spoilt.
pub(crate) fn new_orders(world: &World, dice: &mut StdRng) -> anyhow::Result<Vec<String>> {
    let mut orders = Vec::new();
    for _ in 0..dice.random_range(0..3) {
        let account = dice.random_range(0..world.accounts.len());
        let lines: Vec<_> = (0..dice.random_range(1..3))
            .map(|_| {
                (
                    dice.random_range(0..world.products.len()),
                    dice.random_range(1..4),
                )
            })
            .collect();
        let id = world
            .place_order(account, &lines)
            .map_err(|refusal| anyhow!("{refusal:?}"))?;
        if dice.random_bool(0.25) {
            let fault = Fault::new(SPOILT[dice.random_range(0..SPOILT.len())])
                .on("AddOrder")
                .marker(&id)
                .delay_ms(dice.random_range(100..2500));
            let fault = match dice.random_bool(0.7) {
                true => fault.with_effect(),
                false => fault,
            };
            world.whmcs.fault(fault.when(When::Next(1)));
        }
        world
            .salesforce
            .approve(&id)
            .map_err(|refusal| anyhow!("{refusal:?}"))?;
        if dice.random_bool(0.05) {
            world.salesforce.republish(&id);
        }
        orders.push(id);
    }
    Ok(orders)
}

/// Something goes wrong with both systems as such.
pub(crate) fn befall(world: &World, dice: &mut StdRng) {
    let rest = |kind| {
        world
            .salesforce
            .fault(RestFault::new(Route::Any, kind).when(When::Next(1)));
    };
    match dice.random_range(0..40) {
        0 => world.salesforce.kill_streams(),
        1 => rest(RestFaultKind::DropBefore),
        2 => rest(RestFaultKind::DropAfter),
        3 => rest(RestFaultKind::Html {
            status: 503,
            after: dice.random_bool(0.5),
        }),
        4 => world.salesforce.revoke_tokens(),
        5 => rest(RestFaultKind::LockRow),
        6 => world.whmcs.fault(Fault::new(FaultId::F01)),
        7 => world.whmcs.fault(Fault::new(FaultId::F02)),
        8 => world.whmcs.fault(Fault::new(FaultId::F21)),
        9 => world.whmcs.cut_connections(),
        10 => world
            .whmcs
            .fault(Fault::new(FaultId::F05).on("AcceptOrder")),
        11 => world
            .whmcs
            .fault(Fault::new(FaultId::F09).on("AcceptOrder").delay_ms(5000)),
        12 => world.whmcs.fault(
            Fault::new(FaultId::F31)
                .on("AcceptOrder")
                .module(idempotent(ModuleScript::Fail {
                    text: "no room on the server".to_owned(),
                    times: None,
                })),
        ),
        13 => {
            let slow = Module {
                delay_ms: 1500,
                ..idempotent(ModuleScript::Ok)
            };
            world
                .whmcs
                .fault(Fault::new(FaultId::F31).on("AcceptOrder").module(slow));
        }
        14 => drop(world.salesforce.publish_raw(vec![0xff; 12], None)),
        _ => {}
    }
}

/// A module that is content with an account that exists, as the bridge is told of all here.
pub(crate) fn idempotent(script: ModuleScript) -> Module {
    Module {
        idempotent: true,
        ..Module::new(script)
    }
}

/// Operators ask again for some of the orders that failed.
pub(crate) fn operate(world: &World, orders: &[String], dice: &mut StdRng) -> anyhow::Result<()> {
    for order in orders {
        if field(world, order, "Activation_Status__c") == "Failed" && dice.random_bool(0.05) {
            retry(world, order)?;
        }
    }
    Ok(())
}

/// An operator asks again.
pub(crate) fn retry(world: &World, order: &str) -> anyhow::Result<()> {
    world
        .salesforce
        .retry(order)
        .map_err(|refusal| anyhow!("{refusal:?}"))
}

/// A field of an order, as text.
pub(crate) fn field(world: &World, order: &str, name: &str) -> String {
    let record = world.salesforce.order(order).unwrap_or_default();
    match &record[name] {
        Value::String(text) => text.clone(),
        _ => String::new(),
    }
}
