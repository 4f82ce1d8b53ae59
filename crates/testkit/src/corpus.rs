//! Fuzz properties on the stable compiler: the committed corpus of a target, and random changes of
//! it. The same inputs on every run; coverage-guided fuzzing is `fuzz/README.md`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_oneof};
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Maximum time for one input.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// Checks a property for the corpus of this fuzz target, and for `PROPTEST_CASES` (default 5000)
/// inputs that are made from it.
///
/// # Panics
/// When the property panics, when an input takes too long, and when there is no corpus.
pub fn hold(target: &str, property: impl Fn(&[u8])) {
    let corpus = corpus(target);
    let try_one = |input: &[u8]| {
        let started = Instant::now();
        property(input);
        assert!(started.elapsed() < TIME_LIMIT, "it takes too long");
    };
    for input in &corpus {
        try_one(input);
    }
    let default = Config::default();
    let config = Config {
        cases: match std::env::var_os("PROPTEST_CASES") {
            Some(_) => default.cases,
            None => 5000,
        },
        failure_persistence: None,
        ..default
    };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let held = runner.run(&inputs(corpus), |input| {
        try_one(&input);
        Ok(())
    });
    if let Err(broken) = held {
        panic!("{target}: {broken}");
    }
}

/// Inputs of the corpus with a stretch replaced by a part of another one or by random bytes, and
/// random bytes alone.
fn inputs(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let part =
        (select(corpus.clone()), any::<Index>(), any::<Index>()).prop_map(|(input, from, to)| {
            let (from, to) = stretch(&input, &from, &to);
            input[from..to].to_vec()
        });
    let insert = prop_oneof![part, vec(any::<u8>(), 0..16)];
    let changed = (select(corpus), any::<Index>(), any::<Index>(), insert).prop_map(
        |(mut input, from, to, insert)| {
            let (from, to) = stretch(&input, &from, &to);
            input.splice(from..to, insert);
            input
        },
    );
    prop_oneof![8 => changed, 1 => vec(any::<u8>(), 0..256)]
}

fn stretch(input: &[u8], from: &Index, to: &Index) -> (usize, usize) {
    let places = input.len() + 1;
    let (from, to) = (from.index(places), to.index(places));
    (from.min(to), from.max(to))
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus");
    let folder = folder.join(target);
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    // The same corpus gives the same inputs on every machine.
    paths.sort();
    let corpus: Vec<_> = paths
        .iter()
        .filter_map(|path| fs::read(path).ok())
        .collect();
    assert!(!corpus.is_empty(), "no corpus in {}", folder.display());
    corpus
}
