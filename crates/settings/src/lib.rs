//! Settings: their definitions, durations, secrets, URLs, and errors that name the setting, the
//! problem and the fix.
//!
//! A setting is an argument of a program with an environment variable, defined once with its type,
//! default and parser; help, origins, secrecy and `docs/SETTINGS.md` are derived from that. All are
//! checked before anything connects. A program prints every [`Problem`] and exits with
//! [`EXIT_CONFIG`].

mod definition;
mod file;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod invalid;
mod origin;
mod parse;
mod problem;
mod quote;
mod reload;
mod secret;
mod unknown;
mod value;

pub use definition::Setting;
pub use file::ConfigFile;
pub use invalid::Invalid;
pub use origin::{EffectiveSetting, Origins};
pub use parse::{Given, Rejected, defaults, given, origins, parse};
pub use problem::{EXIT_CONFIG, Problem, Problems};
pub use quote::quoted;
pub use reload::{Reload, ReloadableSecret};
pub use secret::{Secret, SecretArg, SecretSetting};
pub use unknown::unknown_variables;
pub use value::{
    Endpoint, List, Runbooks, duration, flag, is_loopback, list, number, text, within,
    zero_or_within,
};
