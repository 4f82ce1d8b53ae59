//! The outside systems as they truly are. Nothing here can fail; the way there can.

pub(crate) mod bus;
pub(crate) mod crm;
pub(crate) mod ledger;
pub(crate) mod store;
pub(crate) mod whmcs;
