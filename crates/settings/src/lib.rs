//! Reading settings: durations, secrets, URLs, and errors that name the setting, what was
//! wrong and the mend.
//!
//! Every setting reaches a program as text (a flag, or the environment variable that is its
//! twin) and is checked here, all of them before anything connects. A program prints every
//! [`Problem`] it has and exits with [`EXIT_CONFIG`].

mod file;
#[cfg(test)]
mod fuzz;
mod origin;
mod problem;
mod secret;
mod value;

pub use file::ConfigFile;
pub use origin::{Origins, SETTINGS, Shown};
pub use problem::{EXIT_CONFIG, Problem, Problems};
pub use secret::{Secret, SecretArgs};
pub use value::{Endpoint, duration, is_loopback};
