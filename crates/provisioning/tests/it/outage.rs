//! External systems that hang, deny access or are unavailable.

use std::time::Duration;

use domain::failure::Code;
use domain::order::Fact;
use domain::ports::Clock;
use operations::Statistics;
use provisioning::FailureTime;
use testkit::{Action, Fault};

use crate::env::TestEnv;
use crate::{DONE, FAILED};

#[tokio::test]
async fn hanging_reads_count_against_retry_budget() {
    let env = TestEnv::with_order().await;
    let hang = env.settings.rules.call_timeout;
    env.whmcs_hangs(Some(hang));
    let started = env.clock.now();
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.assert_failed(Code::WhmcsUnavailable, false);
    let took = env.clock.now().since(started);
    assert!(took <= env.settings.retry_budget + hang, "{took:?}");
}

fn suspended(env: &TestEnv) {
    let now = FailureTime {
        at: env.clock.now(),
        monotonic: env.clock.monotonic(),
    };
    env.process.whmcs.refused(now, "Invalid IP 192.0.2.1");
}

#[tokio::test]
async fn retry_probes_suspended_whmcs_at_once() {
    let env = TestEnv::with_order().await;
    env.whmcs.fail_next(Action::Accept, Fault::Refused);
    assert_eq!(env.work().await, [FAILED]);
    suspended(&env);
    env.retry("e2").await;
    assert_eq!(env.attempt_once().await, [DONE], "without delay");
}

#[tokio::test]
async fn stale_denial_fails_no_order() {
    let mut env = TestEnv::with_order().await;
    env.settings.pause_limit = Duration::from_secs(1);
    suspended(&env);
    env.clock.advance(Duration::from_secs(60));
    // No call was made since, and WHMCS grants access again.
    assert_eq!(env.work_without_probes().await.last(), Some(&DONE));
}

#[tokio::test]
async fn one_waiting_order_probes_salesforce() {
    let env = TestEnv::new().await;
    for number in 1..=10 {
        env.order(number).await;
    }
    env.crm.set_unavailable(true);
    env.round().await;
    let before = env.crm.calls();
    let minutes = 10;
    let until = env.clock.now() + Duration::from_secs(60 * minutes);
    while env.clock.now() < until {
        env.round().await;
    }
    let calls = env.crm.calls() - before;
    let every = env.settings.probe_every.as_secs();
    assert!(calls <= 60 * minutes / every + 1, "{calls} calls");
    env.crm.set_unavailable(false);
    let results = env.work().await;
    assert_eq!(results.iter().filter(|result| **result == DONE).count(), 10);
}

#[tokio::test]
async fn job_with_unreplayable_facts_is_set_aside() {
    let mut env = TestEnv::with_order().await;
    env.forbid_effects();
    let claimed = env.claim_with_facts(&[Fact::Reported]).await;
    assert_eq!(env.execute_here(claimed).await, FAILED);
    assert!(env.crm.written().is_empty());
    env.allow_effects();
    let set_aside = env.store().unreadable_jobs(Duration::from_secs(60)).await;
    let set_aside = set_aside.unwrap();
    assert_eq!(set_aside.jobs, 1, "the alert `JobSetAside` fires");
    assert!(set_aside.cause.contains("cannot follow"), "{set_aside:?}");
    env.order(2).await;
    assert_eq!(env.work().await, [DONE]);
}
