//! The routes of both halves.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod console;
mod customer;
mod denials;
mod openapi;
mod test_env;
