//! Outside systems that hang, refuse us or are away: how long is waited, and who asks.

use std::time::Duration;

use domain::failure::Code;
use domain::order::Fact;
use domain::ports::Clock;
use provisioning::Moment;
use testkit::{Action, Fault};

use crate::house::TestEnv;
use crate::{DONE, FAILED};

#[tokio::test]
async fn the_time_of_hanging_reads_counts_against_the_retry_budget() {
    let house = TestEnv::with_order().await;
    let hang = house.settings.call_timeout;
    house.whmcs_hangs(Some(hang));
    let begun = house.clock.now();
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.assert_failed(Code::WhmcsUnavailable, false);
    let took = house.clock.now().since(begun);
    assert!(took <= house.settings.retry_budget + hang, "{took:?}");
}

fn suspended(house: &TestEnv) {
    let now = Moment {
        at: house.clock.now(),
        monotonic: house.clock.monotonic(),
    };
    house.process.whmcs.refused(now, "Invalid IP 192.0.2.1");
}

#[tokio::test]
async fn an_operators_retry_asks_whmcs_at_once_while_calls_are_suspended() {
    let house = TestEnv::with_order().await;
    house.whmcs.fail_next(Action::Accept, Fault::Refused);
    assert_eq!(house.work().await, [FAILED]);
    suspended(&house);
    house.retry("e2").await;
    assert_eq!(house.attempt_once().await, [DONE], "without any wait");
}

#[tokio::test]
async fn no_order_fails_for_a_refusal_that_is_older_than_its_own_attempt() {
    let mut house = TestEnv::with_order().await;
    house.settings.pause_limit = Duration::from_secs(1);
    suspended(&house);
    house.clock.advance(Duration::from_secs(60));
    // Nobody has asked WHMCS since, and it lets us in.
    assert_eq!(house.work_without_probes().await.last(), Some(&DONE));
}

#[tokio::test]
async fn orders_that_wait_for_salesforce_have_one_of_them_ask() {
    let house = TestEnv::new().await;
    for number in 1..=10 {
        house.order(number).await;
    }
    house.crm.set_unavailable(true);
    house.round().await;
    let before = house.crm.calls();
    let minutes = 10;
    let until = house.clock.now() + Duration::from_secs(60 * minutes);
    while house.clock.now() < until {
        house.round().await;
    }
    let calls = house.crm.calls() - before;
    let every = house.settings.probe_every.as_secs();
    assert!(calls <= 60 * minutes / every + 1, "{calls} calls");
    house.crm.set_unavailable(false);
    let ends = house.work().await;
    assert_eq!(ends.iter().filter(|end| **end == DONE).count(), 10);
}

#[tokio::test]
async fn an_order_whose_facts_make_no_sense_ends_its_job_and_holds_nobody_up() {
    let house = TestEnv::with_order().await;
    let claimed = house.claim_with_facts(&[Fact::Reported]).await;
    assert_eq!(house.execute_here(claimed).await, FAILED);
    assert!(house.crm.written().is_empty() && house.whmcs.all_orders().is_empty());
    house.order(2).await;
    assert_eq!(house.work().await, [DONE]);
}
