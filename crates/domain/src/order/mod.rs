//! The order: what the CRM says of it, what is to be made of it, what was done so far, and
//! what comes next.
//!
//! Facts belong to the Salesforce order and outlive attempts; the plan is never stored. The
//! next step is a pure function of state, so a better release continues yesterday's orders.

mod customer;
mod cycle;
mod details;
mod fact;
mod outcome;
mod placed;
mod plan;
mod progress;
mod search;
mod set_up;
mod sighting;
mod state;
mod step;

pub use customer::{
    BusinessStatus, CustomerOrder, MAX_PLACED_ITEMS, PlaceItem, PlaceKey, PlaceRequest, Placed,
    RetryAnswer,
};
pub use cycle::{Cycle, UnknownCycle};
pub use details::{Account, ActivationStatus, Contact, Item, OrderDetails, OrderGuard, Product};
pub use fact::{Fact, MarkerCheck};
pub use outcome::{ItemReport, Outcome, Report};
pub use placed::{PlacedLine, verify};
pub use plan::{Line, MAX_LINES, MappingOverrides, Plan};
pub use progress::{Placing, Progress, UnknownCall};
pub use search::{MarkersKept, MatchResult, Search, judge};
pub use set_up::{
    ActivationAction, ActivationProgress, ActivationState, MAX_UNKNOWN_CALLS,
    next_activation_action,
};
pub use sighting::{
    ClientStatus, OrderStatus, ServiceStatus, WhmcsClient, WhmcsOrder, WhmcsService,
};
pub use state::{IllegalFact, OrderState, Phase};
pub use step::{Step, next};
