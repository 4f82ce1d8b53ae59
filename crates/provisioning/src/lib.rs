//! The second use case: jobs become WHMCS services and a reported outcome.
