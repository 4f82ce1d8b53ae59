//! The second use case: jobs become WHMCS services and a reported outcome.
//!
//! [`Worker`] claims jobs, keeps their leases alive and drains; [`execute`] takes one job
//! from its facts to its end, step by step: *decide* in the domain, *observe*, commit the
//! intent, *perform*, record what was learnt.

mod breaker;
mod calls;
mod execute;
mod heartbeat;
mod measure;
mod process;
mod settings;
mod stall;
mod worker;

pub use breaker::{CircuitBreaker, Moment, OpenCircuit};
pub use execute::{End, execute};
pub use heartbeat::Hold;
pub use process::{Panic, ProcessState};
pub use settings::Settings;
pub use worker::{Ports, Worker};
