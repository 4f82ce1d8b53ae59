//! Network simulators of Salesforce and WHMCS with fault injection.
//!
//! - [`salesforce::SalesforceSim`]: OAuth (JWT bearer), REST with a SOQL subset, the Flow that
//!   turns an approval into an event, and the Pub/Sub API.
//! - [`whmcs::WhmcsSim`]: `includes/api.php` with its quirks, provisioning modules, and a test
//!   oracle that knows how many orders and remote accounts really exist.
//! - [`World`]: both with matching data; [`Control`]: the same over HTTP ([`DOCS`]).
//!
//! All randomness comes from a seed, and tests can await what they wait for ([`Hold`]) instead of
//! sleeping.
//!
//! Not simulated: GOAWAY frames, SOAP login, introspection, composite graph, batch and tree, the NVP
//! format, change data capture, reads before the commit (`publish_immediately`), domains, addons and
//! configurable options in WHMCS, and the DST and TLS parts of F32.
mod clock;
mod control;
mod faults;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod listen;
mod listener;
mod pubsub;
pub mod salesforce;
mod seed;
mod snapshot;
mod tls;
pub mod whmcs;
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use control::{Control, DOCS};
pub use faults::{Hold, Phase, When};
pub use listen::Listen;
pub use listener::{BindError, Port};
pub use pubsub::{Fields, wire};
pub use seed::{Seed, SeedError};
pub use snapshot::{Snapshot, SnapshotError};
pub use tls::{Certificate, TlsError};
pub use world::{World, WorldAccount, WorldOptions, WorldProduct};

/// Locks a mutex and ignores poisoning.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serializes by `Display`.
pub(crate) fn as_text<T: std::fmt::Display, S: serde::Serializer>(
    value: &T,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
