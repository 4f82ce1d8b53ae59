//! The provisioner: WHMCS over its form API.
