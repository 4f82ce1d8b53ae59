//! A deterministic simulation: the real [`intake::Intake`] and [`provisioning::Worker`],
//! several of each, in a world made of a seed.
//!
//! Time is virtual, there is one thread, and the seed is all the chance there is: it decides
//! what is slow, lost, repeated, refused or forgotten, and who crashes or is paused when. So
//! a seed that breaks a [`Promise`] breaks it again, as often as somebody wants to look.
//!
//! - `books` holds the outside systems and the job store as they truly are;
//! - `seat` is what one process sees of them, through everything that goes wrong on the way;
//! - `people` approve orders and mend what failed; `process` lets processes live and die;
//! - `end` compares everybody's books, and the [`Sabotage`]s show that it would notice.
//!
//! One seed, told: `cargo run -p simulation -- --replay 17`.

mod books;
mod climate;
mod dice;
mod end;
mod judge;
mod people;
mod process;
mod sabotage;
mod seat;
mod trace;
mod world;

pub use books::store::Engine;
pub use judge::{Breach, Promise};
pub use sabotage::Sabotage;
pub use world::{Schedule, run, run_on};
