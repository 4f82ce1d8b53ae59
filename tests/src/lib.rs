//! Support for end-to-end tests and load tests: programs that crash at named points, and the
//! portal as a process.

pub mod crash_points;
pub mod portal_process;
mod ports;
pub mod staff;

pub use ports::{
    crashing_intake_ports, crashing_monitoring_ports, crashing_portal_ports, crashing_worker_ports,
};
