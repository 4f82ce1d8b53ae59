//! Model checking of the calls that must not be repeated, over every interleaving.
//!
//! The rules are those of production (`domain::order`: replay of the facts, next step, match of
//! WHMCS orders, next activation call); the external systems are a few integers. Each rule has a
//! variant without it, which must give a counterexample.

mod activating;
mod placing;

use std::time::Duration;

use domain::key::JobId;
use domain::time::Timestamp;

/// One tick of the models' clock.
const TICK: Duration = Duration::from_secs(1);

fn at(tick: u8) -> Timestamp {
    Timestamp::default() + TICK * u32::from(tick)
}

fn job(attempt: u8) -> JobId {
    JobId::new(format!("attempt-{attempt}")).expect("the name is not blank")
}
