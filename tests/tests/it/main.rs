//! One binary for every test of the whole house.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod alerts;
mod browser;
mod crash;
mod ctl;
mod currency;
mod failures;
mod flags;
mod floors;
mod house;
mod intake;
mod machines;
mod metrics;
mod monitoring;
mod outcomes;
mod portal;
mod pressure;
mod process;
mod proxy;
mod road;
mod secrets;
mod settings;
mod signals;
mod stalls;
mod traces;
