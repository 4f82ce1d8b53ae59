//! Orders and fault injection.

use anyhow::anyhow;
use rand::Rng;
use rand::rngs::StdRng;
use serde_json::Value;
use simulators::salesforce::{RestFault, RestFaultKind, Route};
use simulators::whmcs::{Fault, FaultId, Module, ModuleScript};
use simulators::{When, World};

/// Faults that hit AddOrder after its effect.
const ADD_ORDER_FAULTS: [FaultId; 10] = [
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

/// Module error messages; some resemble an API denial.
const MODULE_ERRORS: [&str; 4] = [
    "no room on the server",
    "Plesk: authentication failed for user admin",
    "sh: command not found",
    "Invalid IP assigned to node",
];

/// Places and approves up to three orders, some with a fault on AddOrder.
pub(crate) fn new_orders(world: &World, rng: &mut StdRng) -> anyhow::Result<Vec<String>> {
    let mut orders = Vec::new();
    for _ in 0..rng.random_range(0..3) {
        let account = rng.random_range(0..world.accounts.len());
        let lines: Vec<_> = (0..rng.random_range(1..3))
            .map(|_| {
                (
                    rng.random_range(0..world.products.len()),
                    rng.random_range(1..4),
                )
            })
            .collect();
        let id = world
            .place_order(account, &lines)
            .map_err(|refusal| anyhow!("{refusal:?}"))?;
        if rng.random_bool(0.25) {
            let fault = Fault::new(ADD_ORDER_FAULTS[rng.random_range(0..ADD_ORDER_FAULTS.len())])
                .on("AddOrder")
                .marker(&id)
                .delay_ms(rng.random_range(100..2500));
            let fault = match rng.random_bool(0.7) {
                true => fault.with_effect(),
                false => fault,
            };
            // A hook that fails to send mail after the order was stored.
            let fault = match fault.id == FaultId::F04 && rng.random_bool(0.5) {
                true => fault.text("SMTP 535 authentication failed"),
                false => fault,
            };
            world.whmcs.fault(fault.when(When::Next(1)));
        }
        world
            .salesforce
            .approve(&id)
            .map_err(|refusal| anyhow!("{refusal:?}"))?;
        if rng.random_bool(0.05) {
            world.salesforce.republish(&id);
        }
        orders.push(id);
    }
    Ok(orders)
}

/// Injects faults into both systems.
pub(crate) fn inject(world: &World, rng: &mut StdRng) {
    match rng.random_range(0..60) {
        0 => world.salesforce.kill_streams(),
        1 => world.salesforce.revoke_tokens(),
        2 => drop(world.salesforce.publish_raw(vec![0xff; 12], None)),
        3 => world.whmcs.cut_connections(),
        4..10 => world.salesforce.fault(salesforce_fault(rng)),
        10..13 => world.whmcs.fault(Fault::new(
            [FaultId::F01, FaultId::F02, FaultId::F21][rng.random_range(0..3)],
        )),
        13..20 => world.whmcs.fault(activation_fault(rng)),
        _ => {}
    }
}

/// A fault of a Salesforce call, most often of the two writes that report an order.
fn salesforce_fault(rng: &mut StdRng) -> RestFault {
    let route = match rng.random_range(0..3) {
        0 => Route::ItemsPatch,
        1 => Route::OrderPatch,
        _ => Route::Any,
    };
    let kind = match rng.random_range(0..6) {
        0 => RestFaultKind::DropBefore,
        1 => RestFaultKind::DropAfter,
        2 => RestFaultKind::LockRow,
        3 if route != Route::Any => RestFaultKind::Error {
            status: 412,
            code: "ENTITY_FAILED_IFLASTMODIFIED_ON_UPDATE".to_owned(),
            message: "Entity has been modified since the last read".to_owned(),
        },
        _ => RestFaultKind::Html {
            status: 503,
            after: rng.random_bool(0.5),
        },
    };
    RestFault::new(route, kind)
}

/// A fault of AcceptOrder or ModuleCreate: failure, delay or lost answer.
fn activation_fault(rng: &mut StdRng) -> Fault {
    let module = |module| {
        Fault::new(FaultId::F31)
            .on("AcceptOrder")
            .module(Module::new(module))
    };
    let lost = |action: &str, rng: &mut StdRng| match rng.random_range(0..5) {
        0 => Fault::new(FaultId::F05).on(action),
        1 => Fault::new(FaultId::F07).on(action),
        2 => Fault::new(FaultId::F08).on(action).with_effect(),
        3 => Fault::new(FaultId::F09).on(action).delay_ms(5000),
        _ => Fault::new(FaultId::F08).on(action),
    };
    match rng.random_range(0..6) {
        0 => lost("AcceptOrder", rng),
        1 => lost("ModuleCreate", rng),
        2 | 3 => module(ModuleScript::CreateThenDie),
        4 => module(ModuleScript::Fail {
            text: MODULE_ERRORS[rng.random_range(0..MODULE_ERRORS.len())].to_owned(),
            times: None,
        }),
        // At most six services, so this ends before the quiet period does.
        _ => module(ModuleScript::Ok).module(Module {
            delay_ms: 300,
            ..Module::new(ModuleScript::Ok)
        }),
    }
}

/// A field of an order, as text.
pub(crate) fn field(world: &World, order: &str, name: &str) -> String {
    let record = world.salesforce.order(order).unwrap_or_default();
    match &record[name] {
        Value::String(text) => text.clone(),
        _ => String::new(),
    }
}
