//! Planning: from what was read to the next call, decided by pure functions.
//!
//! The worker performs what these functions return and records it; a dry run prints it. Nothing
//! here is stored, so a new release plans orders that an older one began.

mod action;
mod activation;
mod client;
mod lines;
mod match_orders;
mod placement;
mod report;
mod verify;

pub use action::Action;
pub use activation::{ActivationAction, modules_in, next_activation_action};
pub use client::{
    ClientDecision, ClientLookup, ClientRules, check_client, client_lookup, resolve_client,
};
pub use lines::{Line, MAX_LINES, MappingOverrides, Plan};
pub use match_orders::{MarkerProof, MatchResult, Search, match_orders};
pub use placement::{Placement, place_order};
pub use report::{ItemReport, Outcome, Report, item_reports, report};
pub use verify::{PlacedLine, Verification, gone, verify, verify_placed};
