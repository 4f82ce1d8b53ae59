//! Fuzzing on the stable compiler: a committed corpus, seeded mutations of it, and a property
//! that must hold for every input.
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `FUZZ_RUNS` | 10000 | inputs per target, after the corpus itself |
//! | `FUZZ_SECONDS` | none | run so long instead |
//! | `FUZZ_SEED` | 1 | another seed makes other inputs |
//!
//! An input that breaks the property is kept in `fuzz/failures/<target>/`. Once it is mended,
//! the file moves to `fuzz/corpus/<target>/`, which every run begins with.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// No input may keep a decoder busy for so long.
const TOO_LONG: Duration = Duration::from_secs(2);
/// Inputs grow no longer than this.
const LONGEST: usize = 16 * 1024;

/// What is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its name, and that of its folder in `fuzz/corpus/`.
    pub name: &'a str,
    /// Pieces that mean something to the decoder.
    pub dictionary: &'a [&'a str],
}

impl Target<'_> {
    /// Holds the property against the corpus and its mutations.
    ///
    /// # Panics
    /// When the property does, when an input takes too long, and when there is no corpus.
    pub fn hold(&self, property: impl Fn(&[u8])) {
        let corpus = self.corpus();
        for input in &corpus {
            self.try_one(input, &property);
        }
        let mut dice = Dice(number("FUZZ_SEED").unwrap_or(1));
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
            self.try_one(&self.mutated(&corpus, &mut dice), &property);
        }
    }

    fn try_one(&self, input: &[u8], property: &impl Fn(&[u8])) {
        let begun = Instant::now();
        let held = catch_unwind(AssertUnwindSafe(|| property(input)));
        let broken = match held {
            Ok(()) if begun.elapsed() < TOO_LONG => return,
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

    /// Keeps what broke the property; where that fails, the message shows the input anyway.
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
        // The same corpus makes the same inputs on every machine.
        paths.sort();
        let corpus: Vec<_> = paths
            .iter()
            .filter_map(|path| fs::read(path).ok())
            .collect();
        assert!(!corpus.is_empty(), "no corpus in {}", folder.display());
        corpus
    }

    fn mutated(&self, corpus: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
        let mut input = dice.pick(corpus).clone();
        for _ in 0..=dice.below(6) {
            let at = dice.below(input.len() + 1);
            match dice.below(8) {
                0 => {
                    if let Some(byte) = input.get_mut(at) {
                        *byte ^= 1 << dice.below(8);
                    }
                }
                1 => input.insert(at, dice.byte()),
                2 => {
                    let end = (at + dice.below(9)).min(input.len());
                    input.drain(at..end);
                }
                3 => {
                    // A stretch again, so that what nests nests deeper.
                    let end = (at + dice.below(65)).min(input.len());
                    let stretch = input[at..end].to_vec();
                    for _ in 0..=dice.below(4) {
                        input.splice(at..at, stretch.iter().copied());
                    }
                }
                4 => {
                    let other = dice.pick(corpus);
                    let from = dice.below(other.len() + 1);
                    input.truncate(at);
                    input.extend_from_slice(&other[from..]);
                }
                5 if !self.dictionary.is_empty() => {
                    let word = dice.pick(self.dictionary);
                    input.splice(at..at, word.bytes());
                }
                6 => {
                    for _ in 0..=dice.below(8) {
                        input.insert(at, *dice.pick(&[0, 0x7f, 0x80, 0xff, b'9', b'"', b'{']));
                    }
                }
                _ => input.truncate(at),
            }
        }
        input.truncate(LONGEST);
        input
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

struct Dice(u64);

impl Dice {
    /// SplitMix64, as in the simulation.
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.roll() % (end.max(1) as u64)).unwrap_or(0)
    }

    fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}
