//! Every point around AcceptOrder, ModuleCreate and both writes to Salesforce × every way
//! those calls can go wrong × modules that are listed as idempotent and modules that are not
//! × both stores.

use simulators::whmcs::{Module, ModuleScript, Product};

use super::points::{Call, Case, Kind, Loss, Write, around};
use crate::house::{Engine, TestEnv};

/// A module that builds another account each time it is called, and is not listed.
const UNLISTED: &str = "buildsagain";
/// The product that has it.
const UNLISTED_PID: u64 = 6;

macro_rules! effects {
    ($($name:ident: $engine:ident, $cases:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            die_around(Engine::$engine, $cases).await;
        }
    )*};
}

effects! {
    accept_order_with_listed_modules_on_sqlite: Sqlite, set_up(Call::AcceptOrder, true);
    accept_order_with_listed_modules_on_postgres: Postgres, set_up(Call::AcceptOrder, true);
    accept_order_with_unlisted_modules_on_sqlite: Sqlite, set_up(Call::AcceptOrder, false);
    accept_order_with_unlisted_modules_on_postgres: Postgres, set_up(Call::AcceptOrder, false);
    module_create_with_listed_modules_on_sqlite: Sqlite, set_up(Call::ModuleCreate, true);
    module_create_with_listed_modules_on_postgres: Postgres, set_up(Call::ModuleCreate, true);
    module_create_with_unlisted_modules_on_sqlite: Sqlite, set_up(Call::ModuleCreate, false);
    module_create_with_unlisted_modules_on_postgres: Postgres, set_up(Call::ModuleCreate, false);
    writes_to_salesforce_on_sqlite: Sqlite, writes();
    writes_to_salesforce_on_postgres: Postgres, writes();
}

/// A call that goes wrong, with the worker's deaths at it and after it.
fn set_up(call: Call, listed: bool) -> Vec<Case> {
    let (name, then) = match call {
        Call::AcceptOrder => ("whmcs.accept_order", "queue.record accept_unknown"),
        Call::ModuleCreate => ("whmcs.create_service", "queue.record create_unknown"),
    };
    let kinds = Loss::ALL.map(|loss| Kind::SetUpLost { call, loss, listed });
    let deaths = kinds.into_iter().map(|kind| deaths(kind, name, then));
    deaths.flatten().collect()
}

/// Both writes, each going wrong in its three ways.
fn writes() -> Vec<Case> {
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
            cases.extend(deaths(Kind::WriteFails { write, fault }, name, then));
        }
    }
    cases
}

/// Between a call and the commit that follows nothing else happens.
fn deaths(kind: Kind, name: &str, then: &str) -> Vec<Case> {
    let [before, after] = around(name);
    let [_, committed] = around(then);
    [before, after, committed].map(|point| (kind, point)).into()
}

async fn die_around(engine: Engine, cases: Vec<Case>) {
    let mut house = TestEnv::on(engine).await;
    // The listed module keeps what its listing promises.
    let listed = Module::new(ModuleScript::Ok).idempotent();
    house.whmcs.set_module(5, listed);
    let unlisted = Module::new(ModuleScript::Ok).named(UNLISTED);
    let product = Product::new(UNLISTED_PID, "Virtual server").with_module(unlisted);
    house.whmcs.set_product(product);
    house.sell("Virtual server", UNLISTED_PID);
    house.lose_workers_everywhere(cases).await;
    assert!(house.whmcs.duplicates().is_empty());
}
