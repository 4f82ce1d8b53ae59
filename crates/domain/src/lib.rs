//! What an order is, what comes next, and what counts as the same order.
//!
//! Everything here is a plain synchronous value, except the [`ports`]: async traits for the systems
//! around the domain, with their failure classes. There is no clock, no randomness, no environment
//! and no I/O, so another service can use this crate as it is.
//!
//! Read it in this order: [`id`] and [`key`] (identity), [`order`] (details, plan, facts,
//! state, next step), [`job`] (delivery), [`failure`] (the closed list of reasons),
//! [`ports`].

pub mod decimal;
pub mod failure;
pub mod id;
pub mod job;
pub mod key;
pub mod order;
pub mod ports;
pub mod text;
pub mod time;
