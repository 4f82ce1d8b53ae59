//! Support for end-to-end tests: programs that crash at named points.

pub mod crash_points;
mod ports;
pub mod staff;

pub use ports::{
    crashing_intake_ports, crashing_monitoring_ports, crashing_portal_ports, crashing_worker_ports,
};
