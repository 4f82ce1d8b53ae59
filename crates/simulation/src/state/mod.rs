//! State of the simulated systems. Nothing here fails; faults are injected on the way.

pub(crate) mod audited_store;
pub(crate) mod bus;
pub(crate) mod crm;
pub(crate) mod store;
pub(crate) mod whmcs;
