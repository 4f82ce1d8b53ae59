//! The net catches fish: with any part of it taken away, a schedule of the ordinary run
//! breaks the very promise that the part is there for.

use simulation::{Promise, Sabotage, run};

/// As many as the ordinary run has.
const ORDINARY: u64 = 10_000;

#[expect(
    clippy::print_stdout,
    reason = "which seed caught it is what the test has to tell"
)]
fn falls_through(sabotage: Sabotage, promise: Promise) {
    for seed in 0..ORDINARY {
        let schedule = run(seed, sabotage, false);
        let caught = schedule
            .breaches
            .iter()
            .find(|breach| breach.promise == promise);
        if let Some(breach) = caught {
            println!(
                "{sabotage:?}: caught by seed {seed}, schedule {} of {ORDINARY}\n  {breach}\n\
                 replay: cargo run -p simulation -- --sabotage {sabotage:?} --replay {seed}",
                seed + 1
            );
            return;
        }
    }
    panic!("{sabotage:?} breaks {promise:?} in none of {ORDINARY} schedules");
}

#[test]
fn without_looking_before_placing_an_order_is_placed_twice() {
    falls_through(Sabotage::BlindSearch, Promise::OneOrder);
}

#[test]
fn without_fencing_a_stale_worker_writes() {
    falls_through(Sabotage::NoFence, Promise::NoStaleWrite);
}

#[test]
fn without_fencing_an_order_is_placed_twice() {
    falls_through(Sabotage::NoFence, Promise::OneOrder);
}

#[test]
fn with_the_cursor_committed_before_the_jobs_it_stands_for_what_is_not_stored() {
    falls_through(Sabotage::CursorFirst, Promise::CursorBehindJobs);
}

#[test]
fn with_the_cursor_committed_before_the_jobs_an_event_is_lost() {
    falls_through(Sabotage::CursorFirst, Promise::NoEventLost);
}

#[test]
fn with_the_cursor_committed_before_the_jobs_an_order_never_ends() {
    falls_through(Sabotage::CursorFirst, Promise::EveryOrderEnds);
}

#[test]
fn without_terms_of_leadership_a_stale_leader_moves_the_cursor_back() {
    falls_through(Sabotage::NoTerm, Promise::CursorBehindJobs);
}

#[test]
fn with_a_letter_closed_before_its_job_is_made_an_order_never_ends() {
    falls_through(Sabotage::LetterFirst, Promise::EveryOrderEnds);
}

#[test]
fn without_the_intent_before_it_an_order_is_placed_twice() {
    falls_through(Sabotage::NoIntent, Promise::OneOrder);
}

#[test]
fn without_the_quiet_period_an_order_is_placed_twice() {
    falls_through(Sabotage::NoQuiet, Promise::OneOrder);
}

#[test]
fn without_the_guard_a_report_lands_on_an_order_that_went_on() {
    falls_through(Sabotage::NoGuard, Promise::GuardedReport);
}

#[test]
fn without_the_read_back_a_service_is_built_twice() {
    falls_through(Sabotage::NoReadBack, Promise::BuiltOnce);
}

#[test]
fn with_a_modules_words_taken_for_a_denial_a_service_is_set_up_again_without_the_operator() {
    falls_through(Sabotage::ModuleWordsDeny, Promise::OperatorDecides);
}

#[test]
fn with_a_proof_of_the_marker_that_never_ends_an_order_is_placed_twice() {
    falls_through(Sabotage::ProofForEver, Promise::OneOrder);
}

#[test]
fn without_the_rest_of_the_window_a_retry_places_an_order_twice() {
    falls_through(Sabotage::NoWindow, Promise::OneOrder);
}

#[test]
fn with_unknown_calls_uncounted_setting_up_has_no_bound() {
    falls_through(Sabotage::UncountedCalls, Promise::BoundedCalls);
}

#[test]
fn without_the_operators_decision_an_order_accepted_by_hand_never_ends() {
    falls_through(Sabotage::NoSecondCreate, Promise::EveryOrderEnds);
}

#[test]
fn with_a_stalled_store_given_up_a_call_that_was_never_sent_is_doubted() {
    falls_through(Sabotage::StallLeavesDoubt, Promise::NoNeedlessDoubt);
}

#[test]
fn with_the_lease_kept_after_a_panic_an_order_never_ends() {
    falls_through(Sabotage::PanicKeepsLease, Promise::EveryOrderEnds);
}

#[test]
fn with_a_skipped_job_counted_by_the_sweep_an_order_never_ends() {
    falls_through(Sabotage::SkippedCounts, Promise::EveryOrderEnds);
}
