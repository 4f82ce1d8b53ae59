//! Tests of the runtime crate.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod listener;
mod metrics;
mod probes;
mod test_env;
