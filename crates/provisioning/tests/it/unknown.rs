//! Calls whose outcome is unknown: what may be repeated, when, and how often.

use std::time::Duration;

use domain::failure::Code;
use domain::key::WhmcsOrderId;
use domain::order::{OrderStatus, ServiceStatus};
use domain::ports::Clock;
use testkit::{Action, Fault};

use crate::house::TestEnv;
use crate::{DONE, FAILED};

#[tokio::test]
async fn an_order_that_lost_its_marker_makes_unmarked_duplicates_count_again() {
    let house = TestEnv::with_order().await;
    assert_eq!(house.work().await, [DONE]);
    assert!(house.marks_are_proven().await);
    house.whmcs.set_drop_notes(true);
    house.order(2).await;
    assert_eq!(house.work().await, [DONE]);
    house.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    house.order(3).await;
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.assert_order_failed(3, Code::WhmcsOutcomeUnknown, false);
    house.retry_of(3, "again").await;
    assert_eq!(house.work().await.last(), Some(&FAILED));
    assert_eq!(house.whmcs.all_orders().len(), 3, "no second was placed");
}

#[tokio::test]
async fn a_proof_older_than_the_lost_call_does_not_let_a_retry_place_a_second_order() {
    let house = TestEnv::with_order().await;
    assert_eq!(house.work().await, [DONE]);
    house.whmcs.set_drop_notes(true);
    house.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    house.order(2).await;
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.retry_of(2, "again").await;
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.assert_order_failed(2, Code::WhmcsOutcomeUnknown, false);
    assert_eq!(house.whmcs.all_orders().len(), 2, "no second was placed");
}

#[tokio::test]
async fn an_unmarked_order_between_marked_ones_does_not_keep_a_retry_from_placing_the_order() {
    for marked_after in [true, false] {
        let house = TestEnv::with_order().await;
        assert_eq!(house.work().await, [DONE]);
        house.whmcs.fail_next(Action::Place, Fault::RequestLost);
        house.order(2).await;
        assert_eq!(house.work().await.last(), Some(&FAILED));
        // An order of the same products that was placed by hand.
        house.whmcs.edit(|orders| {
            let mut by_hand = orders[0].clone();
            by_hand.id = WhmcsOrderId(2);
            by_hand.notes.clear();
            orders.push(by_hand);
        });
        if marked_after {
            house.order(3).await;
            assert_eq!(house.work().await, [DONE]);
        }
        let before = house.whmcs.all_orders().len();
        house.retry_of(2, "again").await;
        let expected = if marked_after { DONE } else { FAILED };
        assert_eq!(house.work().await.last(), Some(&expected));
        let placed = house.whmcs.all_orders().len() - before;
        assert_eq!(placed, usize::from(marked_after));
    }
}

#[tokio::test]
async fn a_retry_places_nothing_while_the_lost_call_may_still_take_effect() {
    let house = TestEnv::with_order().await;
    let begun = house.clock.now();
    house.whmcs.fail_next(Action::Place, Fault::Late);
    house.round().await;
    house.whmcs.fail_always(Action::Read, Some(Fault::NotSent));
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.assert_failed(Code::WhmcsOutcomeUnknown, false);
    house.whmcs.fail_always(Action::Read, None);
    house.retry("e2").await;
    let settings = &house.settings;
    let window = settings.call_timeout + 2 * settings.quiet_period;
    let last_moment = begun + window - Duration::from_secs(5);
    while house.clock.now() < last_moment {
        house.round().await;
    }
    assert_eq!(house.whmcs.calls_of(Action::Place), 1, "the window is open");
    let wait = house.wait().await.unwrap();
    assert_eq!(wait.what, "next search");
    assert_eq!(wait.until, begun + window);
    house.whmcs.apply_late_effects();
    assert_eq!(house.work().await.last(), Some(&DONE));
    assert_eq!(
        house.whmcs.all_orders().len(),
        1,
        "the late one was adopted"
    );
}

#[tokio::test]
async fn a_retry_after_the_window_places_the_order_after_one_search() {
    let house = TestEnv::with_order().await;
    let begun = house.clock.now();
    house.whmcs.fail_next(Action::Place, Fault::RequestLost);
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.retry("e2").await;
    assert_eq!(house.work().await.last(), Some(&DONE));
    let settings = &house.settings;
    let window = settings.call_timeout + 2 * settings.quiet_period;
    assert!(house.clock.now().since(begun) >= window);
    assert_eq!(house.whmcs.all_orders().len(), 1);
}

#[tokio::test]
async fn accepting_an_order_whose_services_are_active_is_given_up_after_three_lost_replies() {
    let house = TestEnv::with_order().await;
    house
        .whmcs
        .set_placed_as(OrderStatus::Pending, ServiceStatus::Active);
    house
        .whmcs
        .fail_always(Action::Accept, Some(Fault::RequestLost));
    let begun = house.clock.now();
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.assert_failed(Code::WhmcsOutcomeUnknown, true);
    assert_eq!(house.whmcs.calls_of(Action::Accept), 3);
    let quiet = house.settings.quiet_period;
    assert!(house.clock.now().since(begun) >= 2 * quiet, "with pauses");
    house.whmcs.fail_always(Action::Accept, None);
    house.retry("e2").await;
    assert_eq!(house.work().await.last(), Some(&DONE));
}

#[tokio::test]
async fn an_idempotent_module_that_never_answers_is_given_up_after_three_calls() {
    let house = TestEnv::with_order().await;
    house.whmcs.set_idempotent(true);
    let lost = Some(Fault::RequestLost);
    house.whmcs.fail_next(Action::Accept, Fault::Refused);
    assert_eq!(house.work().await, [FAILED]);
    house.whmcs.fail_always(Action::Create, lost);
    house.retry("e2").await;
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.assert_failed(Code::WhmcsOutcomeUnknown, true);
    assert_eq!(house.whmcs.calls_of(Action::Create), 3);
}

#[tokio::test]
async fn after_a_reported_failure_a_retry_creates_what_is_pending_in_an_order_accepted_by_hand() {
    let house = TestEnv::with_order().await;
    house
        .whmcs
        .set_placed_as(OrderStatus::Active, ServiceStatus::Pending);
    assert_eq!(house.work().await, [FAILED]);
    house.assert_failed(Code::WhmcsModuleFailed, true);
    house.retry("e2").await;
    assert_eq!(house.work().await, [DONE]);
    assert_eq!(house.whmcs.builds().len(), 2);
}

#[tokio::test]
async fn an_answer_that_denies_us_after_the_effect_leaves_the_watermark_where_it_was() {
    let house = TestEnv::with_order().await;
    house.whmcs.set_drop_notes(true);
    house.whmcs.fail_next(Action::Place, Fault::DeniedLate);
    assert_eq!(house.work().await.last(), Some(&FAILED));
    house.assert_failed(Code::WhmcsOutcomeUnknown, false);
    house.retry("e2").await;
    assert_eq!(house.work().await.last(), Some(&FAILED));
    assert_eq!(house.whmcs.all_orders().len(), 1, "no second was placed");
}
