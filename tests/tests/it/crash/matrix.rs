//! Every crash point × every fault of AddOrder after its effect × both stores, checked against
//! the orders of the simulated WHMCS. Prints a row for each case.

use simulators::whmcs::FaultId;

use super::points::{Kind, happy_path, unknown_outcome};
use crate::test_env::{Engine, TestEnv};

macro_rules! matrix {
    ($($name:ident: $engine:ident, $fault:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            crash_everywhere(Engine::$engine, FaultId::$fault).await;
        }
    )*};
}

matrix! {
    f03_on_sqlite: Sqlite, F03;
    f03_on_postgres: Postgres, F03;
    f04_on_sqlite: Sqlite, F04;
    f04_on_postgres: Postgres, F04;
    f05_on_sqlite: Sqlite, F05;
    f05_on_postgres: Postgres, F05;
    f06_on_sqlite: Sqlite, F06;
    f06_on_postgres: Postgres, F06;
    f07_on_sqlite: Sqlite, F07;
    f07_on_postgres: Postgres, F07;
    f08_on_sqlite: Sqlite, F08;
    f08_on_postgres: Postgres, F08;
    f09_on_sqlite: Sqlite, F09;
    f09_on_postgres: Postgres, F09;
    f10_on_sqlite: Sqlite, F10;
    f10_on_postgres: Postgres, F10;
    f11_on_sqlite: Sqlite, F11;
    f11_on_postgres: Postgres, F11;
    f12_on_sqlite: Sqlite, F12;
    f12_on_postgres: Postgres, F12;
    f13_on_sqlite: Sqlite, F13;
    f13_on_postgres: Postgres, F13;
}

async fn crash_everywhere(engine: Engine, fault: FaultId) {
    let kind = Kind::AddOrderFault(fault);
    let mut cases = happy_path(kind);
    // JSON after leading noise is parsed, and so is the first of two responses.
    if !matches!(fault, FaultId::F03 | FaultId::F12) {
        cases.extend(unknown_outcome(kind));
    }
    let env = TestEnv::on(engine).await;
    env.crash_workers_at_all(cases).await;
    if fault != FaultId::F12 {
        assert!(env.whmcs.duplicates().is_empty());
    }
}
