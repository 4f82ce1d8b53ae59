#![doc = include_str!("../README.md")]
//!
//! Read the modules in this order: [`id`] and [`key`] (identity), [`order`] (details, plan, facts,
//! state, next step), [`job`] (delivery), [`failure`] (the closed list of reasons), [`ports`].

pub mod decimal;
pub mod failure;
pub mod id;
pub mod job;
pub mod key;
pub mod order;
pub mod ports;
pub mod text;
pub mod time;
