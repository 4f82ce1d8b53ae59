//! The order: its details from the CRM, the plan, the recorded facts, and the next step.
//!
//! Facts belong to the Salesforce order and outlive attempts; the plan is never stored. The next
//! step is a pure function of state, so a new release continues orders that an older one began.

mod activation;
mod customer;
mod cycle;
mod details;
mod fact;
mod plan;
mod progress;
mod state;
mod step;
mod whmcs;

pub use activation::{ActivationProgress, ActivationState, MAX_UNKNOWN_CALLS};
pub use customer::{
    BusinessStatus, CustomerOrder, MAX_PLACED_ITEMS, PlaceItem, PlaceKey, PlaceRequest, Placed,
    RetryAnswer,
};
pub use cycle::{Cycle, UnknownCycle};
pub use details::{Account, ActivationStatus, Contact, Item, OrderDetails, OrderGuard, Product};
pub use fact::{Fact, MarkerCheck};
pub use plan::{
    Action, ActivationAction, Answers, Catalogue, Decision, Effect, ItemReport, Line, MAX_LINES,
    MappingOverrides, MarkerProof, MatchResult, Observed, Outcome, PlacedLine, Plan, PlanRules,
    Planner, Read, Reads, Report, Search, WaitReason, check_catalogue, match_orders,
    next_activation_action, superseded, verify,
};
pub use progress::{Placing, Progress, UnknownCall};
pub use state::{IllegalFact, OrderState, Phase};
pub use step::{Step, next};
pub use whmcs::{ClientStatus, OrderStatus, ServiceStatus, WhmcsClient, WhmcsOrder, WhmcsService};
