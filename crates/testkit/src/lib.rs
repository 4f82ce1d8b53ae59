//! In-memory fakes of the ports, builders, and the contract suites they share with the real adapters.
