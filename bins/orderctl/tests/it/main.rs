//! The command line on a real store: what it prints, and what it does.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod help;
mod output;
mod store;
mod test_env;
