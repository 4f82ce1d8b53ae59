//! The event bus and the gRPC service in front of it.
mod batch;
mod bus;
mod faults;
mod managed;
mod options;
mod publish;
mod replay;
mod saved;
mod schema;
mod service;
mod stats;
mod status;
mod stream;

pub(crate) use bus::Bus;
pub use bus::Published;
pub use faults::{StreamFault, StreamFaultKind, UnaryFault};
pub use managed::{ManagedReplay, ManagedState, ManagedSubscription};
pub use options::{BusOptions, IdleStyle};
pub(crate) use saved::SavedBus;
pub use schema::{EventField, EventKind, EventSchema, encode};
pub(crate) use service::PubSubService;
pub use stats::BusStats;

/// The values of an event's custom fields, by field name.
pub type Fields = serde_json::Map<String, serde_json::Value>;

/// The vendor's messages and stubs, as generated from `proto/eventbus/v1`.
pub mod wire {
    #![expect(
        missing_docs,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    tonic::include_proto!("eventbus.v1");
}
