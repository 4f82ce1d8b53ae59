//! Every crash point × every fault of AddOrder after its effect × both stores, checked against
//! the orders of the simulated WHMCS. Prints a row for each case.

use simulators::whmcs::FaultId;

use super::points::{Kind, happy_path, unknown_outcome};
use crate::test_env::{Engine, TestEnv};

on_both_stores! {
    f03: crash_everywhere(FaultId::F03);
    f04: crash_everywhere(FaultId::F04);
    f05: crash_everywhere(FaultId::F05);
    f06: crash_everywhere(FaultId::F06);
    f07: crash_everywhere(FaultId::F07);
    f08: crash_everywhere(FaultId::F08);
    f09: crash_everywhere(FaultId::F09);
    f10: crash_everywhere(FaultId::F10);
    f11: crash_everywhere(FaultId::F11);
    f12: crash_everywhere(FaultId::F12);
    f13: crash_everywhere(FaultId::F13);
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
