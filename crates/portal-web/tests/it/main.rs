//! The routes of both halves.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod console;
mod customer;
mod denials;
mod jwks;
mod limits;
mod openapi;
mod reload;
mod requests;
mod scopes;
mod sessions;
mod test_env;
