//! Parsing of settings: durations, secrets, URLs, and errors that name the setting, the problem and
//! the fix.
//!
//! Every setting is given as text, by a flag or its environment variable, and all are validated
//! before anything connects. A program prints every [`Problem`] and exits with [`EXIT_CONFIG`].

mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod origin;
mod problem;
mod reload;
mod secret;
mod unknown;
mod value;

pub use file::ConfigFile;
pub use origin::{EffectiveSetting, Origins, SETTINGS};
pub use problem::{EXIT_CONFIG, Problem, Problems};
pub use reload::{Reload, ReloadableSecret};
pub use secret::{Secret, SecretArgs};
pub use unknown::unknown_variables;
pub use value::{Endpoint, Runbooks, duration, is_loopback};
