//! A worker or a database server that crashes at a commit.

use domain::failure::Code;
use domain::order::Outcome;
use testkit::order_id;

use crate::DONE;
use crate::env::TestEnv;

/// After a crash at `crash_at`, the order is provisioned once, with one retry at most.
async fn provisioned_once_after(env: &TestEnv, crash_at: i64) {
    env.work().await;
    let outcomes = env.crm.outcomes(order_id(1));
    if !matches!(outcomes.last(), Some(Outcome::Provisioned { .. })) {
        // An intent without an outcome is unknown: the operator retries once.
        let refused = env.refusal().await;
        assert_eq!(
            refused,
            Some(Code::WhmcsOutcomeUnknown),
            "crash at write {crash_at}"
        );
        env.whmcs.set_idempotent(true);
        env.retry("e2").await;
        assert_eq!(env.work().await, [DONE], "crash at write {crash_at}");
    }
    assert_eq!(env.whmcs.all_orders().len(), 1, "crash at write {crash_at}");
    assert_eq!(env.whmcs.builds().len(), 2, "crash at write {crash_at}");
}

#[tokio::test]
async fn crash_at_any_commit_neither_duplicates_nor_loses() {
    for crash_at in 1.. {
        let env = TestEnv::with_order().await;
        let crashed = env.crash_at_write(crash_at).await;
        provisioned_once_after(&env, crash_at).await;
        if !crashed {
            assert!(crash_at > 7, "every commit was tried");
            return;
        }
    }
}

#[tokio::test]
async fn power_cut_at_any_commit_neither_duplicates_nor_loses() {
    for crash_at in 1.. {
        let env = TestEnv::with_order().await;
        let crashed = env.crash_at_write(crash_at).await;
        env.store().forget_unflushed();
        provisioned_once_after(&env, crash_at).await;
        if !crashed {
            return;
        }
    }
}

/// The worker lives, and knows facts that the server has forgotten.
#[tokio::test]
async fn server_that_forgets_results_neither_duplicates_nor_loses() {
    let mut aborted = 0;
    for crash_after in 1..=7 {
        let env = TestEnv::with_order().await;
        aborted += u32::from(env.crash_server_after_write(crash_after).await);
        provisioned_once_after(&env, crash_after).await;
    }
    assert_eq!(
        aborted, 3,
        "the check, and the answers of AddOrder and AcceptOrder"
    );
}
