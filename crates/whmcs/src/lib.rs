//! The provisioner: WHMCS over its form API.
//!
//! The API has no request keys, answers business errors with HTTP 200, and may have done
//! what it says it failed to do. So every answer is sorted into exactly one class
//! ([`answer`](self) module), an effect whose answer is lost is *unknown*, and lists are
//! complete or an error.

mod answer;
mod api;
mod catalogue;
mod config;
mod form;
#[cfg(test)]
mod fuzz;
mod lists;
mod newest;
mod options;
mod php;
mod preview;
mod provisioner;
mod wire;

pub use answer::{Kind as CallKind, classify};
pub use api::Api;
pub use config::{Config, WhmcsArgs};
pub use options::{LineMarkers, Options};
pub use preview::PlannedCall;
pub use provisioner::Whmcs;
