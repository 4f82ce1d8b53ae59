//! All promises are kept in ten thousand schedules, and every mutation is detected.

mod determinism;
mod mutations;
mod promises;
