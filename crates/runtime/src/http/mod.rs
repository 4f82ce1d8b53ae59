//! The listeners of a program: HTTP/1.1 with time and connection limits, probes, access log.
//!
//! HTTP/2 without TLS is not spoken: a browser has no use for it, and each of its connections
//! would need limits of its own.

mod access;
mod body;
mod connection;
mod connections;
mod event_stream;
mod listener;
mod nofile;
mod probes;
mod settings;
mod stream;

pub use access::{ActorOf, RequestId};
pub use connections::ConnectionLimits;
pub use listener::{Listener, Listeners, Routes};
pub use nofile::raise_nofile;
pub use probes::{Check, Checks};
pub use settings::{HTTP_ADDR, ListenerConfig, default_address};
