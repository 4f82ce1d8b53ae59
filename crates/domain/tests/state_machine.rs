//! The order's state machine: every (state, fact) pair, and invariants of any history.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

use domain::failure::{Code, Refusal};
use domain::id::OrderItemId;
use domain::key::{ClientId, JobId, LineMarker, ServiceId, WhmcsOrderId};
use domain::order::{Fact, MarkerCheck, OrderState, Phase, PlacedLine, Step, next};
use domain::time::Timestamp;
use proptest::prelude::*;

const AT: Timestamp = Timestamp::from_millis(1_000);
const ORDER: WhmcsOrderId = WhmcsOrderId(3);
const SERVICE: ServiceId = ServiceId(9);

fn job(name: &str) -> JobId {
    JobId::new(name).unwrap()
}

fn lines() -> Vec<PlacedLine> {
    let item = OrderItemId::parse("802000000000001").unwrap();
    vec![PlacedLine {
        marker: LineMarker { item, unit: 1 },
        service: SERVICE,
    }]
}

fn every_fact() -> Vec<Fact> {
    vec![
        Fact::Checked {
            job: job("j1"),
            idem_key: None,
            number: None,
            account: None,
        },
        Fact::Checked {
            job: job("j2"),
            idem_key: None,
            number: None,
            account: None,
        },
        Fact::CreatingClient { at: AT },
        Fact::ClientNotCreated,
        Fact::ClientUnknown { at: AT },
        Fact::Client {
            client: ClientId(7),
        },
        Fact::Placing {
            at: AT,
            watermark: WhmcsOrderId(1),
        },
        Fact::NotPlaced,
        Fact::PlaceUnknown { at: AT },
        Fact::SearchedEmpty { at: AT },
        Fact::Placed { order: ORDER },
        Fact::Verified {
            lines: lines(),
            marker: MarkerCheck::Kept,
        },
        Fact::Accepting { at: AT },
        Fact::NotAccepted,
        Fact::AcceptAnswered,
        Fact::AcceptFailed {
            text: "no room".to_owned(),
        },
        Fact::AcceptUnknown { at: AT },
        Fact::Creating {
            at: AT,
            service: SERVICE,
        },
        Fact::NotCreated,
        Fact::Created { service: SERVICE },
        Fact::CreateFailed {
            service: SERVICE,
            text: "no room".to_owned(),
        },
        Fact::CreateUnknown { at: AT },
        Fact::Accepted,
        Fact::Held { at: AT },
        Fact::Refused(Refusal::new(Code::WhmcsRejected, "no")),
        Fact::ItemsReported,
        Fact::Reported,
        Fact::Forgotten { order: ORDER },
    ]
}

/// Every state, by the facts that lead to it.
fn every_stage() -> Vec<(&'static str, Vec<Fact>)> {
    let checked = Fact::Checked {
        job: job("j1"),
        idem_key: None,
        number: None,
        account: None,
    };
    let client = Fact::Client {
        client: ClientId(7),
    };
    let placing = Fact::Placing {
        at: AT,
        watermark: WhmcsOrderId(1),
    };
    let placed = Fact::Placed { order: ORDER };
    let verified = Fact::Verified {
        lines: lines(),
        marker: MarkerCheck::Kept,
    };
    let facts = [checked, client, placing, placed, verified];
    let with =
        |n: usize, more: Vec<Fact>| facts[..n].iter().cloned().chain(more).collect::<Vec<_>>();
    let refused = Fact::Refused(Refusal::new(Code::WhmcsRejected, "no"));
    vec![
        ("requested", vec![]),
        ("checked", with(1, vec![])),
        (
            "creating client",
            with(1, vec![Fact::CreatingClient { at: AT }]),
        ),
        (
            "client unknown",
            with(
                1,
                vec![
                    Fact::CreatingClient { at: AT },
                    Fact::ClientUnknown { at: AT },
                ],
            ),
        ),
        ("client known", with(2, vec![])),
        ("placing", with(3, vec![])),
        (
            "place unknown",
            with(3, vec![Fact::PlaceUnknown { at: AT }]),
        ),
        (
            "place reopened",
            with(
                3,
                vec![
                    Fact::PlaceUnknown { at: AT },
                    refused.clone(),
                    Fact::Reported,
                    Fact::Checked {
                        job: job("j0"),
                        idem_key: None,
                        number: None,
                        account: None,
                    },
                ],
            ),
        ),
        ("placed", with(4, vec![])),
        ("verified", with(5, vec![])),
        ("accepting", with(5, vec![Fact::Accepting { at: AT }])),
        (
            "creating",
            with(
                5,
                vec![Fact::Creating {
                    at: AT,
                    service: SERVICE,
                }],
            ),
        ),
        ("accepted", with(5, vec![Fact::Accepted])),
        ("refused", with(1, vec![refused])),
        (
            "reported",
            with(5, vec![Fact::Accepted, Fact::ItemsReported, Fact::Reported]),
        ),
    ]
}

/// One row per state: the facts that may follow it, in the sequence of `every_fact`.
#[rustfmt::skip]
const TABLE: &[(&str, &str)] = &[
    ("requested", "checked checked forgotten"),
    ("checked", "checked creating_client client held refused items_reported reported forgotten"),
    ("creating client", "checked client_not_created client_unknown client held refused items_reported reported forgotten"),
    ("client unknown", "checked client searched_empty held refused items_reported reported forgotten"),
    ("client known", "checked placing placed held refused items_reported reported forgotten"),
    ("placing", "checked not_placed place_unknown placed held refused items_reported reported forgotten"),
    ("place unknown", "checked searched_empty placed held refused items_reported reported forgotten"),
    ("place reopened", "checked checked placing placed held refused items_reported reported forgotten"),
    ("placed", "checked verified held refused items_reported reported forgotten"),
    ("verified", "checked accepting creating accepted held refused items_reported reported forgotten"),
    ("accepting", "checked not_accepted accept_answered accept_failed accept_unknown accepted held refused items_reported reported forgotten"),
    ("creating", "checked not_created created create_failed create_unknown accepted held refused items_reported reported forgotten"),
    ("accepted", "checked held refused items_reported reported forgotten"),
    ("refused", "checked items_reported reported forgotten"),
    ("reported", "checked forgotten"),
];

#[test]
fn only_legal_facts_apply_in_each_state() {
    let stages = every_stage();
    assert_eq!(stages.len(), TABLE.len());
    for ((stage, facts), (name, legal)) in stages.iter().zip(TABLE) {
        assert_eq!(stage, name);
        let state = OrderState::replay(facts).unwrap();
        let legal_here: Vec<_> = every_fact()
            .iter()
            .filter(|fact| facts.last() != Some(*fact) && state.clone().apply(fact).is_ok())
            .map(Fact::name)
            .collect();
        assert_eq!(legal_here.join(" "), *legal, "after {stage}");
    }
}

#[test]
fn repeated_fact_counts_once() {
    for (stage, facts) in every_stage() {
        let mut state = OrderState::default();
        for fact in &facts {
            state = state.apply(fact).unwrap();
            assert_eq!(state.clone().apply(fact).unwrap(), state, "{stage}: {fact}");
        }
    }
}

#[test]
fn superseded_attempt_keeps_unknown_call() {
    let again = |facts: &[Fact]| {
        let checked = Fact::Checked {
            job: job("j9"),
            idem_key: None,
            number: None,
            account: None,
        };
        let state = OrderState::replay(facts.iter().chain([&checked])).unwrap();
        next(&state, &job("j9"))
    };
    for (stage, facts) in every_stage() {
        match stage {
            "placing" => assert_eq!(again(&facts), Step::RecordPlacementUnknown),
            "place unknown" => {
                assert!(matches!(again(&facts), Step::ReconcilePlacement { .. }));
                let refused = Fact::Refused(Refusal::new(Code::WhmcsOutcomeUnknown, "two"));
                let failed: Vec<_> = facts.iter().cloned().chain([refused]).collect();
                assert!(matches!(again(&failed), Step::PlaceOrder { .. }));
            }
            _ => {}
        }
    }
}

#[test]
fn illegal_fact_error_names_state_and_fact() {
    let error = OrderState::default()
        .apply(&Fact::Placed { order: ORDER })
        .unwrap_err();
    assert!(error.to_string().contains("placed") && error.to_string().contains("Requested"));
}

#[test]
fn intent_without_outcome_is_never_repeated() {
    for (stage, facts) in every_stage() {
        let state = OrderState::replay(&facts).unwrap();
        let step = next(&state, &job("j1"));
        match stage {
            "creating client" => assert_eq!(step, Step::RecordClientUnknown),
            "placing" => assert_eq!(step, Step::RecordPlacementUnknown),
            "accepting" => assert_eq!(step, Step::RecordActivationUnknown { creating: false }),
            "creating" => assert_eq!(step, Step::RecordActivationUnknown { creating: true }),
            _ => {}
        }
    }
}

proptest! {
    /// Any prefix of a legal history replays to a state whose next step was not done yet: an
    /// existing order is never placed again, and a reported attempt has no next step.
    #[test]
    fn replay_never_repeats_a_done_step(
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..60),
    ) {
        let all = every_fact();
        let mut state = OrderState::default();
        let mut placed = false;
        for pick in picks {
            let fact = pick.get(&all);
            let Ok(after) = state.clone().apply(fact) else { continue };
            state = after;
            match fact {
                Fact::Placed { .. } => placed = true,
                Fact::Forgotten { .. } => placed = false,
                _ => {}
            }
            let current = state.attempt.as_ref().map_or(job("none"), |(job, _)| job.clone());
            let step = next(&state, &current);
            if placed {
                let creates = matches!(
                    step,
                    Step::ResolveClient | Step::PlaceOrder { .. } | Step::RecordPlacementUnknown | Step::ReconcilePlacement { .. }
                );
                prop_assert!(!creates, "{step:?} although an order exists");
                prop_assert!(state.whmcs_order().is_some());
            }
            prop_assert_eq!(state.phase == Phase::Reported, step == Step::Done);
            // Another job always starts with the guard.
            prop_assert_eq!(next(&state, &job("stranger")), Step::Check);
        }
    }
}
