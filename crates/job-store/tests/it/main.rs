//! The stores, each held to the contract they share.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod copy;
mod damage;
mod pooler;
mod postgres;
mod release;
mod sqlite;
