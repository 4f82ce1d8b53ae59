//! Model checking of the calls that must not be repeated, over every interleaving.
//!
//! The rules are those of production (`domain::order`: replay of the facts, next step, match of
//! WHMCS orders, next activation call); the external systems are a few integers. Each rule has a
//! variant without it, which must give a counterexample.

mod activating;
mod placing;
