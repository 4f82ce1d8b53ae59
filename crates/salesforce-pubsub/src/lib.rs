//! Event source adapter for the Salesforce Pub/Sub API (gRPC, Avro).
//!
//! [`PubSub`] opens streams. A stream decodes each event with its schema, grants credit only for
//! events that its reader has stored, and ends with an error that classifies what the reader can
//! do. Wire types do not leave this crate.

mod config;
mod credit;
mod decode;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod inspect;
mod rpc;
mod schema;
mod source;
mod stream;
mod wire;

mod proto {
    #![expect(
        unreachable_pub,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    tonic::include_proto!("eventbus.v1");
}

pub use config::Config;
pub use inspect::Topic;
pub use source::PubSub;
