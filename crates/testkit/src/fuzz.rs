//! Fuzzing on the stable compiler: a committed corpus, seeded mutations of it, and a property
//! that must hold for every input.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `FUZZ_RUNS` | 10000 | inputs per target, after the corpus itself |
//! | `FUZZ_SECONDS` | none | duration instead of a number of inputs |
//! | `FUZZ_SEED` | 1 | seed of the mutations |
//!
//! An input that breaks the property is saved in `fuzz/failures/<target>/`. Once fixed, the file
//! moves to `fuzz/corpus/<target>/`, which every run starts with.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Maximum time for one input.
const TIME_LIMIT: Duration = Duration::from_secs(2);
/// Maximum input length.
const MAX_LENGTH: usize = 16 * 1024;

/// A fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The target's name, and that of its folder in `fuzz/corpus/`.
    pub name: &'a str,
    /// Tokens that are meaningful to the decoder.
    pub dictionary: &'a [&'a str],
}

impl Target<'_> {
    /// Checks the property for the corpus and its mutations.
    ///
    /// # Panics
    /// When the property panics, when an input takes too long, and when there is no corpus.
    pub fn hold(&self, property: impl Fn(&[u8])) {
        let corpus = self.corpus();
        for input in &corpus {
            self.try_one(input, &property);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(number("FUZZ_SEED").unwrap_or(1));
        let until =
            number("FUZZ_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let runs = match until {
            Some(_) => u64::MAX,
            None => number("FUZZ_RUNS").unwrap_or(10_000),
        };
        for _ in 0..runs {
            if until.is_some_and(|until| Instant::now() > until) {
                break;
            }
            self.try_one(&self.mutated(&corpus, &mut rng), &property);
        }
    }

    fn try_one(&self, input: &[u8], property: &impl Fn(&[u8])) {
        let started = Instant::now();
        let held = catch_unwind(AssertUnwindSafe(|| property(input)));
        let broken = match held {
            Ok(()) if started.elapsed() < TIME_LIMIT => return,
            Ok(()) => None,
            Err(panic) => Some(panic),
        };
        let kept = self.keep(input);
        match broken {
            Some(panic) => {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                let shown = String::from_utf8_lossy(input);
                resume_unwind(Box::new(format!(
                    "{}: {text}\ninput `{shown}` is kept in {}",
                    self.name,
                    kept.display()
                )));
            }
            None => panic!("{}: {} took too long", self.name, kept.display()),
        }
    }

    /// Saves a failing input. If that fails, the panic message still shows it.
    fn keep(&self, input: &[u8]) -> PathBuf {
        let hash = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let folder = root().join("failures").join(self.name);
        let path = folder.join(format!("{hash:016x}"));
        let _ = fs::create_dir_all(&folder).and_then(|()| fs::write(&path, input));
        path
    }

    fn corpus(&self) -> Vec<Vec<u8>> {
        let folder = root().join("corpus").join(self.name);
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

    fn mutated(&self, corpus: &[Vec<u8>], rng: &mut ChaCha8Rng) -> Vec<u8> {
        let mut input = one(corpus, rng).clone();
        for _ in 0..rng.random_range(1..=6) {
            let at = rng.random_range(0..=input.len());
            match rng.random_range(0..8) {
                0 => {
                    if let Some(byte) = input.get_mut(at) {
                        *byte ^= 1 << rng.random_range(0..8);
                    }
                }
                1 => input.insert(at, rng.random()),
                2 => {
                    let end = (at + rng.random_range(0..9)).min(input.len());
                    input.drain(at..end);
                }
                3 => {
                    // Duplicates a stretch, which deepens nesting.
                    let end = (at + rng.random_range(0..65)).min(input.len());
                    let stretch = input[at..end].to_vec();
                    for _ in 0..rng.random_range(1..=4) {
                        input.splice(at..at, stretch.iter().copied());
                    }
                }
                4 => {
                    let other = one(corpus, rng);
                    let from = rng.random_range(0..=other.len());
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
                5 if !self.dictionary.is_empty() => {
                    let word = one(self.dictionary, rng);
                    input.splice(at..at, word.bytes());
                }
                6 => {
                    for _ in 0..rng.random_range(1..=8) {
                        input.insert(at, *one(&[0, 0x7f, 0x80, 0xff, b'9', b'"', b'{'], rng));
                    }
                }
                _ => input.truncate(at),
            }
        }
        input.truncate(MAX_LENGTH);
        input
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

fn one<'a, T>(items: &'a [T], rng: &mut ChaCha8Rng) -> &'a T {
    &items[rng.random_range(0..items.len())]
}
