//! In-memory fakes of the ports, builders, and the contract suites they share with the real
//! adapters.

mod build;
mod clock;
pub mod contract;

pub use build::{channel, new_job, order_id, owner};
pub use clock::{FakeClock, FakeEntropy};
