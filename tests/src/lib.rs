//! What tests of the whole house need in processes of their own: programs that die at named
//! points.

pub mod points;
mod ports;
pub mod staff;

pub use ports::{deadly_intake, deadly_portal, deadly_worker};
