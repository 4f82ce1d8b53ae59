//! The first use case: events become jobs.
