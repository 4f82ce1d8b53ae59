//! One order through provisioning, with every way the outside can misbehave.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod house;
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
use house::TestEnv;
use provisioning::End;
use testkit::{Action, Fault, Written, details, order_id};

const DONE: End = End::Finished(JobOutcome::Succeeded);
const FAILED: End = End::Finished(JobOutcome::Failed);

#[tokio::test]
async fn an_approved_order_is_placed_set_up_and_reported_once() {
    let house = TestEnv::with_order().await;
    assert_eq!(house.work().await, [DONE]);
    let orders = house.whmcs.all_orders();
    assert_eq!(orders.len(), 1);
    assert!(
        orders[0]
            .lines
            .iter()
            .all(|line| line.status == ServiceStatus::Active)
    );
    let written = house.crm.written();
    assert!(matches!(&written[0], Written::Items(items) if items[0].services.len() == 2));
    assert!(matches!(&written[1], Written::Report(..)));
    assert_eq!(written.len(), 2, "the lines, then ONE write to the order");
    assert!(house.marks_are_proven().await);
}

#[tokio::test]
async fn an_order_that_is_not_activating_is_skipped_and_nothing_is_written() {
    let house = TestEnv::with_order().await;
    house.crm.retry(order_id(1), "e1");
    house
        .crm
        .set_activation(order_id(1), ActivationStatus::Activated);
    assert_eq!(house.work().await, [End::Finished(JobOutcome::Skipped)]);
    assert!(house.whmcs.all_orders().is_empty() && house.crm.written().is_empty());
}

#[tokio::test]
async fn an_event_that_overtook_its_commit_is_looked_at_again() {
    let house = TestEnv::with_order().await;
    house
        .crm
        .set_activation(order_id(1), ActivationStatus::NotRequested);
    assert_eq!(house.round().await, [End::Released]);
    house
        .crm
        .set_activation(order_id(1), ActivationStatus::Activating);
    assert_eq!(house.work().await, [DONE]);
}

#[tokio::test]
async fn an_activated_order_may_be_asked_for_again_by_an_event_that_overtook_its_commit() {
    let house = TestEnv::with_order().await;
    assert_eq!(house.work().await, [DONE]);
    house.request("e2").await;
    assert_eq!(house.round().await, [End::Released]);
    house.crm.retry(order_id(1), "e2");
    assert_eq!(house.work().await, [DONE]);
    assert_eq!(house.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn a_request_does_not_begin_by_an_older_key_while_its_own_commit_is_still_to_be_seen() {
    let house = TestEnv::new().await;
    house.crm.put(details(order_id(1)));
    house.request("e2").await;
    assert_eq!(house.round().await, [End::Released]);
    house.crm.retry(order_id(1), "e2");
    assert_eq!(house.work().await, [DONE]);
}

#[tokio::test]
async fn an_order_that_is_not_there_ends_failed_with_its_code() {
    let house = TestEnv::new().await;
    house.request("e1").await;
    assert_eq!(house.work().await.last(), Some(&FAILED));
    assert_eq!(house.refusal().await, Some(Code::OrderNotFound));
    assert!(house.crm.written().is_empty());
}

#[tokio::test]
async fn a_mapping_error_is_reported_before_anything_is_written_to_whmcs() {
    let house = TestEnv::new().await;
    let mut order = details(order_id(1));
    order.items[0].product.whmcs_product = None;
    house.crm.put(order);
    house.request("e1").await;
    assert_eq!(house.work().await, [FAILED]);
    house.assert_failed(Code::MappingMissing, false);
    assert!(house.whmcs.all_orders().is_empty());
}

#[tokio::test]
async fn a_product_that_whmcs_does_not_sell_is_found_before_the_order_is_placed() {
    let house = TestEnv::new().await;
    let mut order = details(order_id(1));
    order.items[0].product.whmcs_product = Some("500".to_owned());
    house.crm.put(order);
    house.request("e1").await;
    assert_eq!(house.work().await, [FAILED]);
    house.assert_failed(Code::MappingInvalid, false);
    assert!(house.whmcs.all_orders().is_empty());
}

#[tokio::test]
async fn a_lost_reply_waits_for_quiet_and_adopts_the_order() {
    let house = TestEnv::with_order().await;
    house.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    let begun = house.clock.now();
    assert_eq!(house.work().await, [End::Released, DONE]);
    assert!(house.clock.now().since(begun) >= house.settings.quiet_period);
    assert_eq!(house.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn a_quiet_period_is_kept_when_a_machine_with_another_wall_clock_goes_on() {
    let hour = Duration::from_secs(3600);
    for (first, second) in [(Duration::ZERO, hour), (hour, Duration::ZERO)] {
        let mut house = TestEnv::with_order().await;
        house.ahead = first;
        house.whmcs.fail_next(Action::Place, Fault::ReplyLost);
        let begun = house.clock.now();
        assert_eq!(house.round().await, [End::Released]);
        house.ahead = second;
        assert_eq!(house.work().await, [DONE]);
        let waited = house.clock.now().since(begun);
        let quiet = house.settings.quiet_period;
        assert!(
            waited >= quiet && waited < quiet + Duration::from_secs(5),
            "{waited:?}"
        );
    }
}

#[tokio::test]
async fn a_lost_request_ends_unknown_after_two_searches_and_a_retry_places_it() {
    let house = TestEnv::with_order().await;
    house.whmcs.fail_next(Action::Place, Fault::RequestLost);
    assert_eq!(house.work().await, [End::Released, End::Released, FAILED]);
    house.assert_failed(Code::WhmcsOutcomeUnknown, false);
    assert!(house.whmcs.all_orders().is_empty());
    house.retry("e2").await;
    // The lost call was lost at once, so the rest of its time limit is waited for.
    assert_eq!(house.work().await, [End::Released, DONE]);
    assert_eq!(house.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn an_unmarked_twin_stops_a_second_placing_while_no_mark_was_ever_seen() {
    let house = TestEnv::with_order().await;
    house.whmcs.set_drop_notes(true);
    house.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.assert_failed(Code::WhmcsOutcomeUnknown, false);
    house.retry("e2").await;
    assert_eq!(house.work().await, [FAILED]);
    assert_eq!(house.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn a_twin_that_staff_mark_as_told_is_adopted_or_stops_nothing() {
    let our_mark = {
        let org = details(order_id(1)).org;
        let order = order_id(1);
        Marker { org, order }.to_string()
    };
    for (mark, orders) in [(our_mark.as_str(), 1), ("orderbridge:v1:none", 2)] {
        let house = TestEnv::with_order().await;
        house.whmcs.set_drop_notes(true);
        house.whmcs.fail_next(Action::Place, Fault::ReplyLost);
        assert_eq!(house.work().await.last(), Some(&FAILED));
        let outcomes = house.crm.outcomes(order_id(1));
        let Some(Outcome::Failed { refusal, .. }) = outcomes.last() else {
            panic!("it failed: {outcomes:?}");
        };
        assert!(refusal.detail.contains(&our_mark), "{}", refusal.detail);
        let remediation = refusal.code.entry().remediation;
        assert!(remediation.contains("orderbridge:v1:none"), "{remediation}");
        house.whmcs.edit(|orders| orders[0].notes = mark.to_owned());
        house.retry("e2").await;
        assert_eq!(house.work().await.last(), Some(&DONE));
        assert_eq!(house.whmcs.all_orders().len(), orders, "{mark}");
    }
}

#[tokio::test]
async fn an_order_whose_notes_were_dropped_is_provisioned_when_it_was_answered() {
    let house = TestEnv::with_order().await;
    house.whmcs.set_drop_notes(true);
    assert_eq!(house.work().await, [DONE]);
    assert_eq!(house.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn a_repeating_proxy_is_found_out() {
    let house = TestEnv::with_order().await;
    house.whmcs.fail_next(Action::Place, Fault::Doubled);
    assert_eq!(house.work().await, [FAILED]);
    house.assert_failed(Code::WhmcsDuplicateFound, true);
    assert!(house.whmcs.builds().is_empty(), "neither was set up");
    house.whmcs.edit(|orders| drop(orders.remove(1)));
    house.retry("e2").await;
    assert_eq!(house.work().await, [DONE]);
}

#[tokio::test]
async fn a_repeating_proxy_is_found_out_even_where_notes_are_dropped() {
    let house = TestEnv::with_order().await;
    house.whmcs.set_drop_notes(true);
    house.whmcs.fail_next(Action::Place, Fault::Doubled);
    assert_eq!(house.work().await, [FAILED]);
    house.assert_failed(Code::WhmcsOutcomeUnknown, true);
    assert!(house.whmcs.builds().is_empty(), "neither was set up");
    house
        .whmcs
        .edit(|orders| orders[0].status = OrderStatus::Cancelled);
    house.retry("e2").await;
    assert_eq!(house.work().await, [DONE]);
    assert_eq!(house.whmcs.all_orders().len(), 2, "no third was placed");
}

#[tokio::test]
async fn a_mark_that_staff_wrote_proves_nothing_of_marks_that_we_write() {
    let house = TestEnv::with_order().await;
    house.whmcs.set_drop_notes(true);
    house.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.assert_failed(Code::WhmcsOutcomeUnknown, false);
    let marker = Marker {
        org: details(order_id(1)).org,
        order: order_id(1),
    };
    house
        .whmcs
        .edit(|orders| orders[0].notes = marker.to_string());
    house.retry("e2").await;
    assert_eq!(house.work().await, [DONE]);
    assert!(!house.marks_are_proven().await);
}

#[tokio::test]
async fn a_call_that_was_not_sent_is_repeated_within_the_budget() {
    let house = TestEnv::with_order().await;
    for action in [Action::Read, Action::Place, Action::Accept] {
        house.whmcs.fail_next(action, Fault::NotSent);
    }
    assert_eq!(house.work().await, [DONE]);
    assert_eq!(house.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn beyond_the_budget_whmcs_is_unavailable() {
    let house = TestEnv::with_order().await;
    for _ in 0..200 {
        house.whmcs.fail_next(Action::Read, Fault::NotSent);
    }
    assert_eq!(house.work().await, [FAILED]);
    house.assert_failed(Code::WhmcsUnavailable, false);
}

#[tokio::test]
async fn a_refused_bridge_fails_no_order_until_the_pause_limit() {
    let house = TestEnv::with_order().await;
    house.whmcs.fail_next(Action::Place, Fault::Denied);
    assert_eq!(house.work().await, [End::Released, DONE]);

    let house = TestEnv::with_order().await;
    for _ in 0..1000 {
        house.whmcs.fail_next(Action::Place, Fault::Denied);
    }
    let begun = house.clock.now();
    assert_eq!(house.work().await.last(), Some(&FAILED));
    assert!(house.clock.now().since(begun) >= house.settings.pause_limit);
    house.assert_failed(Code::WhmcsConfig, false);
}

#[tokio::test]
async fn while_the_lane_is_paused_orders_wait_without_calling() {
    let house = TestEnv::with_order().await;
    for _ in 0..1000 {
        house.whmcs.fail_next(Action::Read, Fault::Denied);
    }
    house.round().await;
    let (asked, read) = (house.whmcs.calls(), house.crm.calls());
    for _ in 0..120 {
        house.round().await;
    }
    // Each round ends with one probe, and nothing else was asked.
    assert_eq!(house.whmcs.calls() - asked, 120);
    assert_eq!(house.crm.calls(), read);
}

#[tokio::test]
async fn a_failed_module_is_reported_and_the_retry_creates_what_is_pending() {
    let house = TestEnv::with_order().await;
    house.whmcs.fail_next(Action::Accept, Fault::Refused);
    assert_eq!(house.work().await, [FAILED]);
    house.assert_failed(Code::WhmcsModuleFailed, true);
    assert!(
        matches!(&house.crm.written()[0], Written::Items(_)),
        "services that exist are told"
    );
    house.retry("e2").await;
    assert_eq!(house.work().await, [DONE]);
    assert_eq!(house.whmcs.all_orders().len(), 1);
    assert_eq!(house.whmcs.builds().len(), 2);
}

#[tokio::test]
async fn a_lost_accept_is_read_back_and_not_repeated() {
    let house = TestEnv::with_order().await;
    house.whmcs.fail_next(Action::Accept, Fault::ReplyLost);
    assert_eq!(house.work().await, [DONE]);
    assert_eq!(house.whmcs.builds().len(), 2);
}

#[tokio::test]
async fn after_an_unknown_accept_only_idempotent_modules_are_run_again() {
    let house = TestEnv::with_order().await;
    house.whmcs.fail_next(Action::Accept, Fault::RequestLost);
    assert_eq!(house.work().await, [End::Released, FAILED]);
    house.assert_failed(Code::WhmcsOutcomeUnknown, true);
    house.retry("e2").await;
    assert_eq!(house.work().await, [FAILED], "still nobody can tell");
    house.whmcs.set_idempotent(true);
    house.retry("e3").await;
    assert_eq!(house.work().await, [DONE]);
    assert_eq!(house.whmcs.builds().len(), 2);
}

#[tokio::test]
async fn an_order_that_staff_cancelled_is_a_mismatch_on_the_retry() {
    let house = TestEnv::with_order().await;
    house.whmcs.fail_next(Action::Accept, Fault::Refused);
    house.work().await;
    house
        .whmcs
        .edit(|orders| orders[0].status = OrderStatus::Cancelled);
    house.retry("e2").await;
    assert_eq!(house.work().await, [FAILED]);
    house.assert_failed(Code::WhmcsOrderMismatch, true);
}

#[tokio::test]
async fn salesforce_away_fails_no_order() {
    let house = TestEnv::with_order().await;
    house.crm.set_unavailable(true);
    let mut ends = Vec::new();
    while ends.len() < 5 {
        ends.extend(house.round().await);
    }
    assert_eq!(ends, [End::Released; 5]);
    house.crm.set_unavailable(false);
    assert_eq!(house.work().await, [DONE]);
}

#[tokio::test]
async fn a_report_whose_reply_was_lost_is_recognised_as_ours() {
    let house = TestEnv::with_order().await;
    house.crm.lose_replies(1);
    assert_eq!(house.work().await, [End::Released, DONE]);
    let outcomes = house.crm.outcomes(order_id(1));
    assert!(
        matches!(outcomes.as_slice(), [Outcome::Provisioned { .. }]),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn an_order_that_went_on_without_us_is_left_alone() {
    let house = TestEnv::with_order().await;
    house.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    assert_eq!(house.round().await, [End::Released]);
    house.crm.retry(order_id(1), "e2");
    assert_eq!(house.work().await, [End::Finished(JobOutcome::Superseded)]);
    assert!(house.crm.written().is_empty());
    house.request("e2").await;
    assert_eq!(house.work().await, [DONE]);
    assert_eq!(
        house.whmcs.all_orders().len(),
        1,
        "the next attempt found it on the books"
    );
}

#[tokio::test]
async fn a_crash_at_any_commit_doubles_nothing_and_loses_nothing() {
    for crash_at in 1.. {
        let house = TestEnv::with_order().await;
        let crashed = house.crash_at_write(crash_at).await;
        house.work().await;
        let outcomes = house.crm.outcomes(order_id(1));
        if !matches!(outcomes.last(), Some(Outcome::Provisioned { .. })) {
            // An intent without an outcome is unknown: the operator is asked, once.
            let refused = house.refusal().await;
            assert_eq!(
                refused,
                Some(Code::WhmcsOutcomeUnknown),
                "crash at write {crash_at}"
            );
            house.whmcs.set_idempotent(true);
            house.retry("e2").await;
            assert_eq!(house.work().await, [DONE], "crash at write {crash_at}");
        }
        assert_eq!(
            house.whmcs.all_orders().len(),
            1,
            "crash at write {crash_at}"
        );
        assert_eq!(house.whmcs.builds().len(), 2, "crash at write {crash_at}");
        if !crashed {
            assert!(crash_at > 8, "every commit of the road was tried");
            return;
        }
    }
}

#[tokio::test]
async fn a_write_that_is_compared_with_a_later_stamp_carries_the_moment_of_the_read() {
    let house = TestEnv::with_order().await;
    house.crm.compare_with_later_stamp();
    house.work().await;
    assert_eq!(house.crm.outcomes(order_id(1)).len(), 1);
    assert!(matches!(
        house.crm.outcomes(order_id(1))[0],
        Outcome::Provisioned { .. }
    ));
}

#[tokio::test]
async fn prices_in_another_currency_than_the_clients_are_refused_where_they_are_used() {
    for (override_prices, order, client, refused) in [
        (true, Some("EUR"), "USD", true),
        (true, Some("usd"), "USD", false),
        (true, None, "USD", false),
        (false, Some("EUR"), "USD", false),
    ] {
        let mut house = TestEnv::with_order().await;
        house.settings.override_prices = override_prices;
        house.whmcs.set_currency(client);
        house.crm.put(OrderDetails {
            currency: order.map(str::to_owned),
            ..details(order_id(1))
        });
        house.work().await;
        if refused {
            house.assert_failed(Code::MappingInvalid, false);
            let outcomes = format!("{:?}", house.crm.outcomes(order_id(1)));
            assert!(
                outcomes.contains("EUR") && outcomes.contains("USD"),
                "{outcomes}"
            );
        } else {
            assert_eq!(house.whmcs.all_orders().len(), 1, "{order:?} {client}");
        }
    }
}
