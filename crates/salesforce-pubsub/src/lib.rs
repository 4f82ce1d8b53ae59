//! The event source: Salesforce Pub/Sub API over gRPC, Avro payloads.
//!
//! [`PubSub`] opens streams; a stream decodes each event with the schema it names, grants
//! credit only for what its reader has stored, and ends with an error that says what the
//! reader can do. Nothing of the wire gets out of this crate.

mod config;
mod credit;
mod decode;
mod failure;
#[cfg(test)]
mod fuzz;
mod rpc;
mod schema;
mod source;
mod stream;

mod proto {
    #![expect(
        unreachable_pub,
        clippy::allow_attributes_without_reason,
        reason = "generated code"
    )]
    tonic::include_proto!("eventbus.v1");
}

pub use config::{Config, PubSubArgs};
pub use source::PubSub;
