//! End-to-end tests of the real programs.
#![expect(clippy::unwrap_used, reason = "a failing step fails its test")]

mod alerts;
mod browser;
mod crash;
mod ctl;
mod currency;
mod degradation;
mod failover;
mod failures;
mod flags;
mod intake;
mod layers;
mod metrics;
mod monitoring;
mod outcomes;
mod portal;
mod process;
mod provisioning;
mod proxy;
mod secrets;
mod security;
mod settings;
mod signals;
mod stalls;
mod test_env;
mod traces;
