//! A small model of the calls that must not be repeated, checked over every interleaving.
//!
//! The rules are those of production (`domain::order`: the fold over the facts, the next step,
//! the match of WHMCS orders, the next set-up call); the outside is a few integers. Each rule
//! has a variant without it, which must give a counterexample.

mod placing;
mod setting_up;
