//! Every point of the road × every way AddOrder's answer can be spoilt after its effect ×
//! both stores. The simulated WHMCS's own books decide; the rows are printed.

use simulators::whmcs::FaultId;

use super::points::{Kind, doubt, road};
use crate::house::{Engine, TestEnv};

macro_rules! matrix {
    ($($name:ident: $engine:ident, $fault:ident;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            die_everywhere(Engine::$engine, FaultId::$fault).await;
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

async fn die_everywhere(engine: Engine, fault: FaultId) {
    let kind = Kind::Spoilt(fault);
    let mut cases = road(kind);
    // What comes as JSON after some noise is understood, and so is the first of two answers.
    if !matches!(fault, FaultId::F03 | FaultId::F12) {
        cases.extend(doubt(kind));
    }
    let house = TestEnv::on(engine).await;
    house.lose_workers_everywhere(cases).await;
    if fault != FaultId::F12 {
        assert!(house.whmcs.duplicates().is_empty());
    }
}
