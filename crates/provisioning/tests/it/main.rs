//! One order through provisioning, with every fault of the external systems.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod crash;
mod env;
mod outage;
mod stalled_store;
mod unknown;
mod worker;

use std::time::Duration;

use domain::failure::Code;
use domain::job::JobOutcome;
use domain::key::Marker;
use domain::order::{ActivationStatus, OrderDetails, OrderStatus, Outcome, ServiceStatus};
use domain::ports::Clock;
use env::TestEnv;
use provisioning::AttemptResult;
use testkit::{Action, Fault, Written, details, order_id};

const DONE: AttemptResult = AttemptResult::Finished(JobOutcome::Succeeded);
const FAILED: AttemptResult = AttemptResult::Finished(JobOutcome::Failed);

#[tokio::test]
async fn approved_order_is_provisioned_and_reported_once() {
    let env = TestEnv::with_order().await;
    assert_eq!(env.work().await, [DONE]);
    let orders = env.whmcs.all_orders();
    assert_eq!(orders.len(), 1);
    assert!(
        orders[0]
            .lines
            .iter()
            .all(|line| line.status == ServiceStatus::Active)
    );
    let written = env.crm.written();
    assert!(matches!(&written[0], Written::Items(items) if items[0].services.len() == 2));
    assert!(matches!(&written[1], Written::Report(..)));
    assert_eq!(written.len(), 2, "the lines, then ONE write to the order");
    assert!(env.markers_are_proven().await);
}

#[tokio::test]
async fn what_a_prompt_step_read_is_not_read_again() {
    let env = TestEnv::with_order().await;
    assert_eq!(env.attempt_once().await, [DONE]);
    // Client, search and catalogue; after AddOrder the orders; after AcceptOrder the order.
    assert_eq!(env.whmcs.calls_of(Action::Read), 5);
}

#[tokio::test]
async fn guard_read_before_a_slow_commit_is_read_again() {
    let prompt = TestEnv::with_order().await;
    assert_eq!(prompt.attempt_once().await, [DONE]);
    let env = TestEnv::with_order().await;
    let crashed = env.crash_at_slow_write(i64::MAX, Duration::from_secs(6));
    assert!(!crashed.await);
    assert_eq!(env.whmcs.all_orders().len(), 1);
    assert_eq!(env.crm.calls(), prompt.crm.calls() + 1);
}

#[tokio::test]
async fn failed_read_ahead_costs_no_retry() {
    let env = TestEnv::with_order().await;
    env.lose_searches(1);
    let started = env.clock.now();
    assert_eq!(env.attempt_once().await, [DONE]);
    assert_eq!(env.clock.now(), started, "it was read when it was needed");

    let env = TestEnv::with_order().await;
    env.lose_searches(2);
    let started = env.clock.now();
    assert_eq!(env.attempt_once().await, [DONE]);
    assert!(env.clock.now() > started, "the needed search was retried");
    assert_eq!(env.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn order_not_activating_is_skipped() {
    let mut env = TestEnv::with_order().await;
    env.crm.retry(order_id(1), "e1");
    env.crm
        .set_activation(order_id(1), ActivationStatus::Activated);
    env.forbid_effects();
    assert_eq!(
        env.work().await,
        [AttemptResult::Finished(JobOutcome::Skipped)]
    );
    assert!(env.crm.written().is_empty());
}

#[tokio::test]
async fn event_before_its_commit_is_rechecked() {
    let env = TestEnv::with_order().await;
    env.crm
        .set_activation(order_id(1), ActivationStatus::NotRequested);
    assert_eq!(env.round().await, [AttemptResult::Released]);
    env.crm
        .set_activation(order_id(1), ActivationStatus::Activating);
    assert_eq!(env.work().await, [DONE]);
}

#[tokio::test]
async fn activated_order_is_rechecked_for_new_request() {
    let env = TestEnv::with_order().await;
    assert_eq!(env.work().await, [DONE]);
    env.request("e2").await;
    assert_eq!(env.round().await, [AttemptResult::Released]);
    env.crm.retry(order_id(1), "e2");
    assert_eq!(env.work().await, [DONE]);
    assert_eq!(env.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn request_waits_for_its_own_key() {
    let env = TestEnv::new().await;
    env.crm.put(details(order_id(1)));
    env.request("e2").await;
    assert_eq!(env.round().await, [AttemptResult::Released]);
    env.crm.retry(order_id(1), "e2");
    assert_eq!(env.work().await, [DONE]);
}

#[tokio::test]
async fn missing_order_fails_with_order_not_found() {
    let env = TestEnv::new().await;
    env.request("e1").await;
    assert_eq!(env.work().await.last(), Some(&FAILED));
    assert_eq!(env.refusal().await, Some(Code::OrderNotFound));
    assert!(env.crm.written().is_empty());
}

#[tokio::test]
async fn mapping_error_is_reported_before_any_whmcs_write() {
    let mut order = details(order_id(1));
    order.items[0].product.whmcs_product = None;
    let mut env = TestEnv::with(order).await;
    env.forbid_effects();
    assert_eq!(env.work().await, [FAILED]);
    env.assert_failed(Code::MappingMissing, false);
}

#[tokio::test]
async fn unavailable_product_fails_before_placement() {
    let mut order = details(order_id(1));
    order.items[0].product.whmcs_product = Some("500".to_owned());
    let mut env = TestEnv::with(order).await;
    env.forbid_effects();
    assert_eq!(env.work().await, [FAILED]);
    env.assert_failed(Code::MappingInvalid, false);
}

#[tokio::test]
async fn lost_reply_adopts_order_after_quiet_period() {
    let env = TestEnv::with_order().await;
    env.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    let started = env.clock.now();
    assert_eq!(env.work().await, [AttemptResult::Released, DONE]);
    assert!(env.clock.now().since(started) >= env.settings.rules.quiet_period);
    assert_eq!(env.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn quiet_period_ignores_wall_clock_skew() {
    let hour = Duration::from_secs(3600);
    for (first, second) in [(Duration::ZERO, hour), (hour, Duration::ZERO)] {
        let mut env = TestEnv::with_order().await;
        env.ahead = first;
        env.whmcs.fail_next(Action::Place, Fault::ReplyLost);
        let started = env.clock.now();
        assert_eq!(env.round().await, [AttemptResult::Released]);
        env.ahead = second;
        assert_eq!(env.work().await, [DONE]);
        let waited = env.clock.now().since(started);
        let quiet = env.settings.rules.quiet_period;
        assert!(
            waited >= quiet && waited < quiet + Duration::from_secs(5),
            "{waited:?}"
        );
    }
}

#[tokio::test]
async fn lost_request_is_unknown_and_retry_places_it() {
    let env = TestEnv::with_order().await;
    env.whmcs.fail_next(Action::Place, Fault::RequestLost);
    assert_eq!(
        env.work().await,
        [AttemptResult::Released, AttemptResult::Released, FAILED]
    );
    env.assert_failed(Code::WhmcsOutcomeUnknown, false);
    assert!(env.whmcs.all_orders().is_empty());
    env.retry("e2").await;
    // The call was lost at once, so the retry waits for the rest of its timeout.
    assert_eq!(env.work().await, [AttemptResult::Released, DONE]);
    assert_eq!(env.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn unmarked_duplicate_blocks_second_placement_without_marker_proof() {
    let env = TestEnv::with_order().await;
    env.whmcs.set_drop_notes(true);
    env.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.assert_failed(Code::WhmcsOutcomeUnknown, false);
    env.retry("e2").await;
    assert_eq!(env.work().await, [FAILED]);
    assert_eq!(env.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn duplicate_marked_by_staff_is_adopted_or_ignored() {
    let our_marker = {
        let org = details(order_id(1)).org;
        let order = order_id(1);
        Marker { org, order }.to_string()
    };
    for (marker, orders) in [(our_marker.as_str(), 1), ("orderbridge:v1:none", 2)] {
        let env = TestEnv::with_order().await;
        env.whmcs.set_drop_notes(true);
        env.whmcs.fail_next(Action::Place, Fault::ReplyLost);
        assert_eq!(env.work().await.last(), Some(&FAILED));
        let outcomes = env.crm.outcomes(order_id(1));
        let Some(Outcome::Failed { refusal, .. }) = outcomes.last() else {
            panic!("no failure reported: {outcomes:?}");
        };
        assert!(refusal.detail.contains(&our_marker), "{}", refusal.detail);
        let remediation = refusal.code.entry().remediation;
        assert!(remediation.contains("orderbridge:v1:none"), "{remediation}");
        env.whmcs.edit(|orders| orders[0].notes = marker.to_owned());
        env.retry("e2").await;
        assert_eq!(env.work().await.last(), Some(&DONE));
        assert_eq!(env.whmcs.all_orders().len(), orders, "{marker}");
    }
}

#[tokio::test]
async fn answered_order_with_dropped_notes_is_provisioned() {
    let env = TestEnv::with_order().await;
    env.whmcs.set_drop_notes(true);
    assert_eq!(env.work().await, [DONE]);
    assert_eq!(env.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn duplicate_by_proxy_is_detected() {
    let env = TestEnv::with_order().await;
    env.whmcs.fail_next(Action::Place, Fault::Doubled);
    assert_eq!(env.work().await, [FAILED]);
    env.assert_failed(Code::WhmcsDuplicateFound, true);
    assert!(env.whmcs.builds().is_empty(), "neither was activated");
    env.whmcs.edit(|orders| drop(orders.remove(1)));
    env.retry("e2").await;
    assert_eq!(env.work().await, [DONE]);
}

#[tokio::test]
async fn duplicate_by_proxy_is_detected_without_notes() {
    let env = TestEnv::with_order().await;
    env.whmcs.set_drop_notes(true);
    env.whmcs.fail_next(Action::Place, Fault::Doubled);
    assert_eq!(env.work().await, [FAILED]);
    env.assert_failed(Code::WhmcsOutcomeUnknown, true);
    assert!(env.whmcs.builds().is_empty(), "neither was activated");
    env.whmcs
        .edit(|orders| orders[0].status = OrderStatus::Cancelled);
    env.retry("e2").await;
    assert_eq!(env.work().await, [DONE]);
    assert_eq!(env.whmcs.all_orders().len(), 2, "no third was placed");
}

#[tokio::test]
async fn marker_written_by_staff_is_no_proof() {
    let env = TestEnv::with_order().await;
    env.whmcs.set_drop_notes(true);
    env.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.assert_failed(Code::WhmcsOutcomeUnknown, false);
    let marker = Marker {
        org: details(order_id(1)).org,
        order: order_id(1),
    };
    env.whmcs
        .edit(|orders| orders[0].notes = marker.to_string());
    env.retry("e2").await;
    assert_eq!(env.work().await, [DONE]);
    assert!(!env.markers_are_proven().await);
}

#[tokio::test]
async fn unsent_call_is_repeated_within_budget() {
    let env = TestEnv::with_order().await;
    for action in [Action::Read, Action::Place, Action::Accept] {
        env.whmcs.fail_next(action, Fault::NotSent);
    }
    assert_eq!(env.work().await, [DONE]);
    assert_eq!(env.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn exhausted_budget_is_whmcs_unavailable() {
    let env = TestEnv::with_order().await;
    for _ in 0..200 {
        env.whmcs.fail_next(Action::Read, Fault::NotSent);
    }
    assert_eq!(env.work().await, [FAILED]);
    env.assert_failed(Code::WhmcsUnavailable, false);
}

#[tokio::test]
async fn denied_access_fails_orders_only_after_pause_limit() {
    let env = TestEnv::with_order().await;
    env.whmcs.fail_next(Action::Place, Fault::Denied);
    assert_eq!(env.work().await, [AttemptResult::Released, DONE]);

    let env = TestEnv::with_order().await;
    for _ in 0..1000 {
        env.whmcs.fail_next(Action::Place, Fault::Denied);
    }
    let started = env.clock.now();
    assert_eq!(env.work().await.last(), Some(&FAILED));
    assert!(env.clock.now().since(started) >= env.settings.pause_limit);
    env.assert_failed(Code::WhmcsConfig, false);
}

#[tokio::test]
async fn open_circuit_makes_orders_wait_without_calls() {
    let env = TestEnv::with_order().await;
    for _ in 0..1000 {
        env.whmcs.fail_next(Action::Read, Fault::Denied);
    }
    env.round().await;
    let (call_stats, crm_calls) = (env.whmcs.calls(), env.crm.calls());
    for _ in 0..120 {
        env.round().await;
    }
    // Each round ends with one probe; there are no other calls.
    assert_eq!(env.whmcs.calls() - call_stats, 120);
    assert_eq!(env.crm.calls(), crm_calls);
}

#[tokio::test]
async fn module_failure_is_reported_and_retry_creates_pending() {
    let env = TestEnv::with_order().await;
    env.whmcs.fail_next(Action::Accept, Fault::Refused);
    assert_eq!(env.work().await, [FAILED]);
    env.assert_failed(Code::WhmcsModuleFailed, true);
    assert!(
        matches!(&env.crm.written()[0], Written::Items(_)),
        "existing services are reported"
    );
    env.retry("e2").await;
    assert_eq!(env.work().await, [DONE]);
    assert_eq!(env.whmcs.all_orders().len(), 1);
    assert_eq!(env.whmcs.builds().len(), 2);
}

#[tokio::test]
async fn lost_accept_is_read_back_not_repeated() {
    let env = TestEnv::with_order().await;
    env.whmcs.fail_next(Action::Accept, Fault::ReplyLost);
    assert_eq!(env.work().await, [DONE]);
    assert_eq!(env.whmcs.builds().len(), 2);
}

#[tokio::test]
async fn unknown_accept_repeats_idempotent_modules_only() {
    let env = TestEnv::with_order().await;
    env.whmcs.fail_next(Action::Accept, Fault::RequestLost);
    assert_eq!(env.work().await, [AttemptResult::Released, FAILED]);
    env.assert_failed(Code::WhmcsOutcomeUnknown, true);
    env.retry("e2").await;
    assert_eq!(env.work().await, [FAILED], "still unknown");
    env.whmcs.set_idempotent(true);
    env.retry("e3").await;
    assert_eq!(env.work().await, [DONE]);
    assert_eq!(env.whmcs.builds().len(), 2);
}

#[tokio::test]
async fn cancelled_order_is_mismatch_on_retry() {
    let env = TestEnv::with_order().await;
    env.whmcs.fail_next(Action::Accept, Fault::Refused);
    env.work().await;
    env.whmcs
        .edit(|orders| orders[0].status = OrderStatus::Cancelled);
    env.retry("e2").await;
    assert_eq!(env.work().await, [FAILED]);
    env.assert_failed(Code::WhmcsOrderMismatch, true);
}

#[tokio::test]
async fn unavailable_salesforce_fails_no_order() {
    let env = TestEnv::with_order().await;
    env.crm.set_unavailable(true);
    let mut results = Vec::new();
    while results.len() < 5 {
        results.extend(env.round().await);
    }
    assert_eq!(results, [AttemptResult::Released; 5]);
    env.crm.set_unavailable(false);
    assert_eq!(env.work().await, [DONE]);
}

#[tokio::test]
async fn report_with_lost_reply_is_recognised() {
    let env = TestEnv::with_order().await;
    env.crm.lose_replies(1);
    assert_eq!(env.work().await, [AttemptResult::Released, DONE]);
    let outcomes = env.crm.outcomes(order_id(1));
    assert!(
        matches!(outcomes.as_slice(), [Outcome::Provisioned { .. }]),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn superseded_attempt_writes_nothing() {
    let env = TestEnv::with_order().await;
    env.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    assert_eq!(env.round().await, [AttemptResult::Released]);
    env.crm.retry(order_id(1), "e2");
    assert_eq!(
        env.work().await,
        [AttemptResult::Finished(JobOutcome::Superseded)]
    );
    assert!(env.crm.written().is_empty());
    env.request("e2").await;
    assert_eq!(env.work().await, [DONE]);
    assert_eq!(
        env.whmcs.all_orders().len(),
        1,
        "the next attempt adopted it"
    );
}

#[tokio::test]
async fn conflicting_report_is_guarded_by_read_time() {
    let env = TestEnv::with_order().await;
    env.crm.compare_with_later_stamp();
    env.work().await;
    assert_eq!(env.crm.outcomes(order_id(1)).len(), 1);
    assert!(matches!(
        env.crm.outcomes(order_id(1))[0],
        Outcome::Provisioned { .. }
    ));
}

#[tokio::test]
async fn currency_mismatch_is_rejected_when_prices_are_sent() {
    for (override_prices, order, client, refused) in [
        (true, Some("EUR"), "USD", true),
        (true, Some("usd"), "USD", false),
        (true, None, "USD", false),
        (false, Some("EUR"), "USD", false),
    ] {
        let mut env = TestEnv::with_order().await;
        env.settings.rules.override_prices = override_prices;
        env.whmcs.set_currency(client);
        env.crm.put(OrderDetails {
            currency: order.map(str::to_owned),
            ..details(order_id(1))
        });
        env.work().await;
        if refused {
            env.assert_failed(Code::MappingInvalid, false);
            let outcomes = format!("{:?}", env.crm.outcomes(order_id(1)));
            assert!(
                outcomes.contains("EUR") && outcomes.contains("USD"),
                "{outcomes}"
            );
        } else {
            assert_eq!(env.whmcs.all_orders().len(), 1, "{order:?} {client}");
        }
    }
}
