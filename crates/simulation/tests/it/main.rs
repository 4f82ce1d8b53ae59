//! The promises, kept in ten thousand schedules; and broken by every hole cut into the net.

mod holes;
mod promises;
mod story;
