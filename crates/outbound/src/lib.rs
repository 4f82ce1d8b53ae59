//! The one way this house opens a connection to the outside.
//!
//! Every HTTP client here has explicit certificate roots, a connect limit, no redirects (a
//! redirect turns a POST into a GET and carries credentials to whoever is named), no system
//! proxy surprises on loopback, and reads bodies with a cap.

mod body;
mod client;
mod roots;
mod webhook;

pub use body::{BodyError, read_capped};
pub use client::{ClientOptions, build};
pub use roots::{Roots, RootsError, install_crypto_provider};
pub use webhook::webhook;
