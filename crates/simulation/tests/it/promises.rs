//! The ordinary run, split into ranges of seeds that run in parallel.

use simulation::{Engine, Mutation, run, run_on};

const SHARE: u64 = 500;

fn keep(share: u64) {
    for seed in share * SHARE..(share + 1) * SHARE {
        let schedule = run(seed, Mutation::None, false);
        let breaches: Vec<_> = schedule.breaches.iter().map(ToString::to_string).collect();
        assert!(
            breaches.is_empty(),
            "seed {seed} breaks a promise:\n  {}\nreplay: cargo run -p simulation -- --replay {seed}",
            breaches.join("\n  ")
        );
    }
}

/// Fewer on a real SQLite file, where a schedule takes longer.
const ON_SQLITE: u64 = 20;

fn keep_on_sqlite(share: u64) {
    for seed in share * ON_SQLITE..(share + 1) * ON_SQLITE {
        let schedule = run_on(Engine::Sqlite, seed, Mutation::None, false);
        let breaches: Vec<_> = schedule.breaches.iter().map(ToString::to_string).collect();
        assert!(
            breaches.is_empty(),
            "seed {seed} on SQLite breaks a promise:\n  {}",
            breaches.join("\n  ")
        );
    }
}

#[test]
fn promises_hold_on_sqlite_share_0() {
    keep_on_sqlite(0);
}

#[test]
fn promises_hold_on_sqlite_share_1() {
    keep_on_sqlite(1);
}

macro_rules! promises_hold_in_shares {
    ($($name:ident = $share:literal;)*) => {
        mod promises_hold {
            $(#[test] fn $name() { super::keep($share); })*
        }
    };
}

promises_hold_in_shares! {
    share_00 = 0; share_01 = 1; share_02 = 2; share_03 = 3; share_04 = 4;
    share_05 = 5; share_06 = 6; share_07 = 7; share_08 = 8; share_09 = 9;
    share_10 = 10; share_11 = 11; share_12 = 12; share_13 = 13; share_14 = 14;
    share_15 = 15; share_16 = 16; share_17 = 17; share_18 = 18; share_19 = 19;
}
