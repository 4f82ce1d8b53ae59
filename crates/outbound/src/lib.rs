//! HTTP clients for external systems.
//!
//! Every client has explicit certificate roots, a connect timeout, no redirects (a redirect turns a
//! POST into a GET and sends credentials to another host), no proxy but that of the
//! environment, and a cap on bodies.

mod body;
mod client;
mod proxy;
mod reachability;
mod roots;
mod webhook;

pub use body::{BodyError, read_capped};
pub use client::{ClientOptions, build};
pub use proxy::Proxy;
pub use reachability::Reachability;
pub use roots::{Roots, RootsError, ca_file, install_crypto_provider};
pub use webhook::webhook;
