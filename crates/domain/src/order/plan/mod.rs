//! Planning: from what was read to the next call, decided by pure functions.
//!
//! [`Planner::decide`] returns what to read, record or perform next. The worker performs it and
//! records the outcome; a dry run prints it. Nothing here is stored, so a new release plans orders
//! that an older one began.

mod action;
mod activation;
mod client;
mod decide;
mod lines;
mod match_orders;
mod observed;
mod placement;
mod report;
mod rules;
mod verify;

pub use action::{Action, Effect};
pub use activation::{ActivationAction, next_activation_action};
pub use decide::{Decision, Planner, WaitReason};
pub use lines::{Line, MAX_LINES, MappingOverrides, Plan};
pub use match_orders::{MarkerProof, MatchResult, Search, match_orders};
pub use observed::{Answers, Catalogue, Observed, Read, Reads};
pub use placement::check_catalogue;
pub use report::{ItemReport, Outcome, Report, superseded};
pub use rules::PlanRules;
pub use verify::{PlacedLine, verify};
