//! One binary for every test of the whole house.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod failures;
mod floors;
mod house;
mod intake;
mod road;
