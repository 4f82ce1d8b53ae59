//! The order: what the CRM says of it, what is to be made of it, what was done so far, and
//! what comes next.
//!
//! Facts belong to the Salesforce order and outlive attempts; the plan is never stored. The
//! next step is a pure function of state, so a better release continues yesterday's orders.

mod activation;
mod customer;
mod cycle;
mod details;
mod fact;
mod match_orders;
mod outcome;
mod placed;
mod plan;
mod progress;
mod state;
mod step;
mod whmcs_order;

pub use activation::{
    ActivationAction, ActivationProgress, ActivationState, MAX_UNKNOWN_CALLS,
    next_activation_action,
};
pub use customer::{
    BusinessStatus, CustomerOrder, MAX_PLACED_ITEMS, PlaceItem, PlaceKey, PlaceRequest, Placed,
    RetryAnswer,
};
pub use cycle::{Cycle, UnknownCycle};
pub use details::{Account, ActivationStatus, Contact, Item, OrderDetails, OrderGuard, Product};
pub use fact::{Fact, MarkerCheck};
pub use match_orders::{MarkerProof, MatchResult, Search, match_orders};
pub use outcome::{ItemReport, Outcome, Report};
pub use placed::{PlacedLine, verify};
pub use plan::{Line, MAX_LINES, MappingOverrides, Plan};
pub use progress::{Placing, Progress, UnknownCall};
pub use state::{IllegalFact, OrderState, Phase};
pub use step::{Step, next};
pub use whmcs_order::{
    ClientStatus, OrderStatus, ServiceStatus, WhmcsClient, WhmcsOrder, WhmcsService,
};
