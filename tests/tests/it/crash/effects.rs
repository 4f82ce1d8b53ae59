//! Crash points around AcceptOrder, ModuleCreate and both Salesforce writes × call faults ×
//! idempotent and other modules × both stores.

use simulators::whmcs::{Module, ModuleScript, Product};

use super::points::{Call, Case, Kind, Loss, Write, around};
use crate::test_env::{Engine, TestEnv};

/// A module that is not listed as idempotent and builds another account on each call.
const UNLISTED: &str = "buildsagain";
/// The product of that module.
const UNLISTED_PID: u64 = 6;

on_both_stores! {
    accept_order_with_listed_modules: crash_around(activation_cases(Call::AcceptOrder, true));
    accept_order_with_unlisted_modules: crash_around(activation_cases(Call::AcceptOrder, false));
    module_create_with_listed_modules: crash_around(activation_cases(Call::ModuleCreate, true));
    module_create_with_unlisted_modules: crash_around(activation_cases(Call::ModuleCreate, false));
    writes_to_salesforce: crash_around(write_cases());
}

/// Crash points at and after a failing activation call.
fn activation_cases(call: Call, listed: bool) -> Vec<Case> {
    let (name, then) = match call {
        Call::AcceptOrder => ("whmcs.accept_order", "queue.record accept_unknown"),
        Call::ModuleCreate => ("whmcs.create_service", "queue.record create_unknown"),
    };
    let kinds = Loss::ALL.map(|loss| Kind::ActivationFails { call, loss, listed });
    let crashes = kinds.into_iter().map(|kind| crashes(kind, name, then));
    crashes.flatten().collect()
}

/// Both writes, each with its three faults.
fn write_cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for fault in ["lost", "conflict", "away"] {
        for (write, name, then) in [
            (
                Write::Items,
                "salesforce.report_items",
                "queue.record items_reported",
            ),
            (Write::Order, "salesforce.report", "queue.finish"),
        ] {
            cases.extend(crashes(Kind::WriteFails { write, fault }, name, then));
        }
    }
    cases
}

/// Nothing happens between a call and the following commit.
fn crashes(kind: Kind, name: &str, then: &str) -> Vec<Case> {
    let [before, after] = around(name);
    let [_, committed] = around(then);
    [before, after, committed].map(|point| (kind, point)).into()
}

async fn crash_around(engine: Engine, cases: Vec<Case>) {
    let mut env = TestEnv::on(engine).await;
    // The listed module is idempotent.
    let listed = Module::new(ModuleScript::Ok).idempotent();
    env.whmcs.set_module(5, listed);
    let unlisted = Module::new(ModuleScript::Ok).named(UNLISTED);
    let product = Product::new(UNLISTED_PID, "Virtual server").with_module(unlisted);
    env.whmcs.set_product(product);
    env.sell("Virtual server", UNLISTED_PID);
    env.crash_workers_at_all(cases).await;
    assert!(env.whmcs.duplicates().is_empty());
}
