//! Schedules are deterministic and exercise every fault.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use simulation::{Mutation, run};

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn same_seed_gives_identical_trace() {
    for seed in (0..10_000).step_by(250) {
        let (first, second) = (
            run(seed, Mutation::None, true),
            run(seed, Mutation::None, true),
        );
        assert!(first.trace.len() > 1_000, "seed {seed} has no trace");
        assert_eq!(digest(&first.trace), digest(&second.trace), "seed {seed}");
    }
}

#[test]
fn tracing_does_not_change_schedule() {
    for seed in 0..40 {
        let (traced, untraced) = (
            run(seed, Mutation::None, true),
            run(seed, Mutation::None, false),
        );
        assert_eq!(traced.lasted, untraced.lasted, "seed {seed}");
    }
}

#[test]
fn different_seeds_give_different_traces() {
    let digests: BTreeSet<_> = (0..40)
        .map(|seed| digest(&run(seed, Mutation::None, true).trace))
        .collect();
    assert_eq!(digests.len(), 40);
}

/// Trace texts that must occur somewhere, so that the promises are really tested.
const EXPECTED: &[&str] = &[
    "crashes",
    "gets SIGTERM",
    "is paused",
    "store unavailable",
    "done, reply lost",
    "the lease was lost",
    "another subscriber leads",
    "unknown replay id",
    "and its events",
    "the stream broke",
    "WHMCS denies access",
    "PlaceUnknown",
    "SearchedEmpty",
    "AcceptUnknown",
    "CreateUnknown",
    "ClientUnknown",
    "AcceptFailed",
    "CreateFailed",
    "NotPlaced",
    "Held",
    "finish Skipped",
    "finish Superseded",
    "WhmcsDuplicateFound",
    "WhmcsOutcomeUnknown",
    "WhmcsModuleFailed",
    "WhmcsUnavailable",
    "WhmcsConfig",
    "WhmcsRejected",
    "MappingMissing",
    "abandons",
    "retries early",
    "retries lost event of",
    "redrives dead letter",
    "has no schema now",
    "is still undecodable",
    "is decodable now",
    "became Enqueued",
    "became SameRequest",
    "panics",
    "by hand",
];

#[test]
fn every_fault_occurs() {
    let mut missing: Vec<_> = EXPECTED.to_vec();
    for seed in 0..1_000 {
        let trace = run(seed, Mutation::None, true).trace;
        missing.retain(|words| !trace.contains(words));
        if missing.is_empty() {
            return;
        }
    }
    panic!("never occurred: {missing:?}");
}
