//! The simulated Salesforce org: OAuth, REST with SOQL, and the Pub/Sub API.
mod admin;
mod collections;
mod composite;
mod describe;
mod events;
mod faults;
mod flow;
mod history;
mod http;
mod ids;
mod inject;
mod metadata;
mod oauth;
mod options;
mod order_rules;
mod org;
mod query;
mod records;
mod rest;
mod rows;
mod rules;
mod saved;
mod sessions;
mod shape;
mod sim;
mod soql;
mod tables;
mod transaction;

pub use admin::{Line, NewOrder};
pub use faults::{RestFault, RestFaultKind, Route};
pub use history::{Author, Call, Write};
pub(crate) use ids::{integration_user, mint as mint_id};
pub use options::{Login, PRIVATE_KEY_PEM, SalesforceOptions};
pub(crate) use org::Org;
pub use rules::Refusal;
pub(crate) use saved::SavedOrg;
pub use sim::SalesforceSim;

pub use crate::pubsub::{
    BusOptions, BusStats, EventField, EventKind, EventSchema, IdleStyle, ManagedReplay,
    ManagedState, ManagedSubscription, Published, StreamFault, StreamFaultKind, UnaryFault, encode,
};
