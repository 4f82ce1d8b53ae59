//! With any safeguard disabled, a schedule of the ordinary run breaks the promise that the
//! safeguard protects.

use simulation::{Mutation, Promise, run};

/// Number of schedules in the ordinary run.
const ORDINARY: u64 = 10_000;

#[expect(clippy::print_stdout, reason = "reports the detecting seed")]
fn assert_detected(mutation: Mutation, promise: Promise) {
    for seed in 0..ORDINARY {
        let schedule = run(seed, mutation, false);
        let caught = schedule
            .breaches
            .iter()
            .find(|breach| breach.promise == promise);
        if let Some(breach) = caught {
            println!(
                "{mutation:?}: detected by seed {seed}, schedule {} of {ORDINARY}\n  {breach}\n\
                 replay: cargo run -p simulation -- --mutation {mutation:?} --replay {seed}",
                seed + 1
            );
            return;
        }
    }
    panic!("{mutation:?} breaks {promise:?} in none of {ORDINARY} schedules");
}

#[test]
fn missing_search_places_order_twice() {
    assert_detected(Mutation::BlindSearch, Promise::OneOrder);
}

#[test]
fn missing_lease_token_check_allows_stale_write() {
    assert_detected(Mutation::NoLeaseToken, Promise::NoStaleWrite);
}

#[test]
fn missing_lease_token_check_places_order_twice() {
    assert_detected(Mutation::NoLeaseToken, Promise::OneOrder);
}

#[test]
fn cursor_committed_first_covers_unstored_events() {
    assert_detected(Mutation::CursorFirst, Promise::CursorBehindJobs);
}

#[test]
fn cursor_committed_first_loses_event() {
    assert_detected(Mutation::CursorFirst, Promise::NoEventLost);
}

#[test]
fn cursor_committed_first_leaves_order_unfinished() {
    assert_detected(Mutation::CursorFirst, Promise::EveryOrderEnds);
}

#[test]
fn missing_epoch_check_lets_stale_leader_rewind_cursor() {
    assert_detected(Mutation::NoEpoch, Promise::CursorBehindJobs);
}

#[test]
fn dead_letter_closed_first_leaves_order_unfinished() {
    assert_detected(Mutation::DeadLetterFirst, Promise::EveryOrderEnds);
}

#[test]
fn missing_intent_places_order_twice() {
    assert_detected(Mutation::NoIntent, Promise::OneOrder);
}

#[test]
fn missing_quiet_period_places_order_twice() {
    assert_detected(Mutation::NoQuietPeriod, Promise::OneOrder);
}

#[test]
fn missing_guard_reports_to_foreign_order() {
    assert_detected(Mutation::NoGuard, Promise::GuardedReport);
}

#[test]
fn missing_read_back_builds_service_twice() {
    assert_detected(Mutation::NoReadBack, Promise::BuiltOnce);
}

#[test]
fn module_error_treated_as_denial_bypasses_operator() {
    assert_detected(Mutation::ModuleErrorsDeny, Promise::OperatorDecides);
}

#[test]
fn permanent_marker_proof_places_order_twice() {
    assert_detected(Mutation::PermanentMarkerProof, Promise::OneOrder);
}

#[test]
fn missing_effect_window_places_order_twice_on_retry() {
    assert_detected(Mutation::NoEffectWindow, Promise::OneOrder);
}

#[test]
fn uncounted_unknown_calls_are_unbounded() {
    assert_detected(Mutation::UncountedCalls, Promise::BoundedCalls);
}

#[test]
fn missing_operator_decision_leaves_order_unfinished() {
    assert_detected(Mutation::NoOperatorDecision, Promise::EveryOrderEnds);
}

#[test]
fn missing_intent_withdrawal_marks_unsent_call_unknown() {
    assert_detected(Mutation::NoIntentWithdrawal, Promise::NoNeedlessUnknown);
}

#[test]
fn lease_kept_after_panic_leaves_order_unfinished() {
    assert_detected(Mutation::PanicKeepsLease, Promise::EveryOrderEnds);
}

#[test]
fn sweep_counting_skipped_jobs_leaves_order_unfinished() {
    assert_detected(Mutation::SkippedCounts, Promise::EveryOrderEnds);
}
