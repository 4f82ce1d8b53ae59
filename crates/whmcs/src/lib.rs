//! Provisioner adapter for the WHMCS API.
//!
//! The API has no idempotency keys, returns business errors with HTTP 200, and may have done what
//! it reports as failed. So every answer gets exactly one class (module `answer`), an effect with a
//! lost answer is *unknown*, and lists are complete or an error.

mod answer;
mod api;
mod catalogue;
mod config;
mod form;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod inspect;
mod lists;
mod mark;
mod newest;
mod options;
mod php;
mod preview;
mod provisioner;
mod wire;

pub use answer::{Kind as CallKind, classify};
pub use api::Api;
pub use config::{Config, Prices, WhmcsArgs};
pub use inspect::{DeniedBy, PROBES};
pub use options::{LineMarkers, Options};
pub use preview::PlannedCall;
pub use provisioner::Whmcs;
