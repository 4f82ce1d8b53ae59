//! Deterministic simulation of several [`intake::Intake`] and [`provisioning::Worker`] instances
//! with fault injection.
//!
//! Time is virtual, there is one thread, and all randomness comes from a seed, which decides what
//! is slow, lost, duplicated or rejected, and which process crashes or pauses when. A seed that
//! breaks a [`Promise`] therefore breaks it again on every run.
//!
//! - `state` holds the external systems and the job store, without faults;
//! - `sim_process` is a process's access to them, with faults;
//! - `operator` approves and retries orders, `lifecycle` starts, crashes and stops processes;
//! - `verify` compares all systems, and each [`Mutation`] shows that a missing safeguard is
//!   found.
//!
//! To print the trace of one seed: `cargo run -p simulation -- --replay 17`.

mod fault_config;
mod lifecycle;
mod mutation;
mod operator;
mod promise;
mod rng;
mod sim_process;
mod state;
mod trace;
mod verify;
mod world;

pub use mutation::Mutation;
pub use promise::{Breach, Promise};
pub use state::store::Engine;
pub use world::{Schedule, run, run_on};
