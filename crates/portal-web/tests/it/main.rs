//! What customers are told, and what nobody is told.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod customers;
mod denials;
mod house;
mod openapi;
mod operators;
