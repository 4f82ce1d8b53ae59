//! Use case: turns jobs into WHMCS services and reports the outcome to Salesforce.
//!
//! [`Worker`] claims jobs, renews their leases and drains; [`execute`] runs one attempt step by
//! step: decide in the domain, observe, commit the intent, call, record the fact.

mod breaker;
mod calls;
mod execute;
mod heartbeat;
mod measure;
mod process;
mod settings;
mod stall;
mod worker;

pub use breaker::{CircuitBreaker, FailureTime, OpenCircuit};
pub use execute::{AttemptResult, execute};
pub use heartbeat::LeaseGuard;
pub use process::{Panic, ProcessState};
pub use settings::Settings;
pub use worker::{Ports, Worker};
