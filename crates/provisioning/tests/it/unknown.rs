//! Calls whose outcome is unknown: what is repeated, when, and how often.

use std::time::Duration;

use domain::failure::Code;
use domain::key::WhmcsOrderId;
use domain::order::{OrderStatus, ServiceStatus};
use domain::ports::Clock;
use testkit::{Action, Fault, details, order_id};

use crate::env::TestEnv;
use crate::{DONE, FAILED};

#[tokio::test]
async fn lost_marker_revokes_marker_proof() {
    let env = TestEnv::with_order().await;
    assert_eq!(env.work().await, [DONE]);
    assert!(env.markers_are_proven().await);
    env.whmcs.set_drop_notes(true);
    env.order(2).await;
    assert_eq!(env.work().await, [DONE]);
    env.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    env.order(3).await;
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.assert_order_failed(3, Code::WhmcsOutcomeUnknown, false);
    env.retry_of(3, "again").await;
    assert_eq!(env.work().await.last(), Some(&FAILED));
    assert_eq!(env.whmcs.all_orders().len(), 3, "no second was placed");
}

#[tokio::test]
async fn old_marker_proof_blocks_second_placement() {
    let env = TestEnv::with_order().await;
    assert_eq!(env.work().await, [DONE]);
    env.whmcs.set_drop_notes(true);
    env.whmcs.fail_next(Action::Place, Fault::ReplyLost);
    env.order(2).await;
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.retry_of(2, "again").await;
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.assert_order_failed(2, Code::WhmcsOutcomeUnknown, false);
    assert_eq!(env.whmcs.all_orders().len(), 2, "no second was placed");
}

#[tokio::test]
async fn unmarked_order_between_marked_ones_allows_placement() {
    for marked_after in [true, false] {
        let env = TestEnv::with_order().await;
        assert_eq!(env.work().await, [DONE]);
        env.whmcs.fail_next(Action::Place, Fault::RequestLost);
        env.order(2).await;
        assert_eq!(env.work().await.last(), Some(&FAILED));
        // An order of the same products that was placed by hand.
        env.whmcs.edit(|orders| {
            let mut by_hand = orders[0].clone();
            by_hand.id = WhmcsOrderId(2);
            by_hand.notes.clear();
            orders.push(by_hand);
        });
        if marked_after {
            env.order(3).await;
            assert_eq!(env.work().await, [DONE]);
        }
        let before = env.whmcs.all_orders().len();
        env.retry_of(2, "again").await;
        let expected = if marked_after { DONE } else { FAILED };
        assert_eq!(env.work().await.last(), Some(&expected));
        let placed = env.whmcs.all_orders().len() - before;
        assert_eq!(placed, usize::from(marked_after));
    }
}

#[tokio::test]
async fn retry_waits_while_lost_call_may_take_effect() {
    let env = TestEnv::with_order().await;
    let started = env.clock.now();
    env.whmcs.fail_next(Action::Place, Fault::Late);
    env.round().await;
    env.whmcs.fail_always(Action::Read, Some(Fault::NotSent));
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.assert_failed(Code::WhmcsOutcomeUnknown, false);
    env.whmcs.fail_always(Action::Read, None);
    env.retry("e2").await;
    let settings = &env.settings;
    let window = settings.rules.call_timeout + 2 * settings.rules.quiet_period;
    let last_moment = started + window - Duration::from_secs(5);
    while env.clock.now() < last_moment {
        env.round().await;
    }
    assert_eq!(env.whmcs.calls_of(Action::Place), 1, "the window is open");
    let wait = env.wait().await.unwrap();
    assert_eq!(wait.what, "next search");
    assert_eq!(wait.until, started + window);
    env.whmcs.apply_late_effects();
    assert_eq!(env.work().await.last(), Some(&DONE));
    assert_eq!(env.whmcs.all_orders().len(), 1, "the late one was adopted");
}

#[tokio::test]
async fn retry_after_window_places_after_one_search() {
    let env = TestEnv::with_order().await;
    let started = env.clock.now();
    env.whmcs.fail_next(Action::Place, Fault::RequestLost);
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.retry("e2").await;
    assert_eq!(env.work().await.last(), Some(&DONE));
    let settings = &env.settings;
    let window = settings.rules.call_timeout + 2 * settings.rules.quiet_period;
    assert!(env.clock.now().since(started) >= window);
    assert_eq!(env.whmcs.all_orders().len(), 1);
}

/// The worker crashes after a call that it sent 30 s after recording the intent, and the next attempt
/// fails before it looks at the call.
#[tokio::test]
async fn retry_after_failed_job_waits_while_crashed_call_may_take_effect() {
    let mut env = TestEnv::with_order().await;
    env.settings.lease = Duration::from_secs(300);
    env.whmcs.fail_next(Action::Place, Fault::Late);
    let commit = Duration::from_secs(30);
    // The writes before the call: the check, the client (since what was read beside the slow check
    // is read again) and the intent.
    let sent = env.clock.now() + 3 * commit;
    assert!(env.crash_at_slow_write(4, commit).await);
    assert_eq!(env.whmcs.calls_of(Action::Place), 1);
    env.crm.remove(order_id(1));
    assert_eq!(env.work().await.last(), Some(&FAILED));
    assert_eq!(env.refusal().await, Some(Code::OrderNotFound));
    env.crm.put(details(order_id(1)));
    env.retry("e2").await;
    let settings = &env.settings;
    let window = settings.rules.call_timeout + 2 * settings.rules.quiet_period;
    let last_moment = sent + window - Duration::from_secs(5);
    assert!(env.clock.now() < last_moment, "the window is open");
    while env.clock.now() < last_moment {
        env.round().await;
    }
    assert_eq!(env.whmcs.calls_of(Action::Place), 1, "no second call");
    env.whmcs.apply_late_effects();
    assert_eq!(env.work().await.last(), Some(&DONE));
    assert_eq!(env.whmcs.all_orders().len(), 1, "the late one was adopted");
}

#[tokio::test]
async fn accept_fails_after_three_lost_replies() {
    let env = TestEnv::with_order().await;
    env.whmcs
        .set_placed_as(OrderStatus::Pending, ServiceStatus::Active);
    env.whmcs
        .fail_always(Action::Accept, Some(Fault::RequestLost));
    let started = env.clock.now();
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.assert_failed(Code::WhmcsOutcomeUnknown, true);
    assert_eq!(env.whmcs.calls_of(Action::Accept), 3);
    let quiet = env.settings.rules.quiet_period;
    assert!(env.clock.now().since(started) >= 2 * quiet, "with pauses");
    env.whmcs.fail_always(Action::Accept, None);
    env.retry("e2").await;
    assert_eq!(env.work().await.last(), Some(&DONE));
}

#[tokio::test]
async fn idempotent_module_fails_after_three_unknown_calls() {
    let env = TestEnv::with_order().await;
    env.whmcs.set_idempotent(true);
    let lost = Some(Fault::RequestLost);
    env.whmcs.fail_next(Action::Accept, Fault::Refused);
    assert_eq!(env.work().await, [FAILED]);
    env.whmcs.fail_always(Action::Create, lost);
    env.retry("e2").await;
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.assert_failed(Code::WhmcsOutcomeUnknown, true);
    assert_eq!(env.whmcs.calls_of(Action::Create), 3);
}

#[tokio::test]
async fn retry_creates_pending_services_of_accepted_order() {
    let env = TestEnv::with_order().await;
    env.whmcs
        .set_placed_as(OrderStatus::Active, ServiceStatus::Pending);
    assert_eq!(env.work().await, [FAILED]);
    env.assert_failed(Code::WhmcsModuleFailed, true);
    env.retry("e2").await;
    assert_eq!(env.work().await, [DONE]);
    assert_eq!(env.whmcs.builds().len(), 2);
}

#[tokio::test]
async fn late_denial_keeps_watermark() {
    let env = TestEnv::with_order().await;
    env.whmcs.set_drop_notes(true);
    env.whmcs.fail_next(Action::Place, Fault::DeniedLate);
    assert_eq!(env.work().await.last(), Some(&FAILED));
    env.assert_failed(Code::WhmcsOutcomeUnknown, false);
    env.retry("e2").await;
    assert_eq!(env.work().await.last(), Some(&FAILED));
    assert_eq!(env.whmcs.all_orders().len(), 1, "no second was placed");
}
